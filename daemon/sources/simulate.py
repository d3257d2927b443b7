"""simulate:, a simulated cell, filmed by a simulated camera."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from uuid import uuid4

from daemon.sources.camera import CameraFrame, Pacer, Resume, SourceEvent
from daemon.sources.scene_section import scene_of
from daemon.sources.section import SourceSection
from selfstorm.frames import Array, StreamInfo
from selfstorm.simulation.movie import simulate

DEFAULT_RATE_HZ = 50.0


class SimulatedCamera:
    """Frames of [source.simulate].

    They come at rate_hz, 50 by default, without end or for `frames`.
    """

    def __init__(self, section: SourceSection, stop: threading.Event, resume: Resume) -> None:
        self._section, self._scene, self._stop, self._first = section, scene_of(section), stop, resume.number

    def events(self) -> Iterator[SourceEvent]:
        """Yield the frames."""
        scene, rate_hz = self._scene, self._section.rate_hz or DEFAULT_RATE_HZ
        yield StreamInfo(
            stream=uuid4().hex,
            source=self._section.uri,
            height=scene.height,
            width=scene.width,
            dtype="uint16",
            pixel_nm=float(scene.pixel_nm),
            rate_hz=rate_hz,
            exposure_ms=1000 / rate_hz,
            offset_adu=float(scene.offset_adu),
            gain_adu_per_electron=float(scene.gain_adu_per_electron),
            camera="simulated",
        )
        pace = Pacer(rate_hz, self._stop)
        for index, (pixels, _) in enumerate(simulate(scene, start_frame=self._first)):
            yield from pace.waits(index)
            number = self._first + index
            yield CameraFrame(pixels, number, camera_ms=1000 * number / rate_hz)


class SimulatedFrames:
    """Frames of a simulated run, by their numbers.

    Args:
        section: the configuration of the source.
        keep: number of frames that are kept, so that they are not computed twice.
    """

    def __init__(self, section: SourceSection, keep: int, _opened: ExitStack) -> None:
        self._scene, self._keep = scene_of(section), keep
        self._kept: dict[int, Array] = {}

    def __call__(self, number: int) -> Array:
        """Return the pixels of a frame, (H, W)."""
        if number not in self._kept:
            for k, (pixels, _) in enumerate(islice(simulate(self._scene, start_frame=number), self._keep)):
                self._kept[number + k] = pixels
            self._kept = {k: v for k, v in self._kept.items() if k > number - self._keep}
        return self._kept[number]
