"""simulate:, a living cell that does not exist, filmed by a camera that does not either."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import uuid4

from daemon.config import SourceSection
from daemon.sources.camera import CameraFrame, Pacer, SourceEvent
from selfstorm.frames import StreamInfo
from selfstorm.simulation.movie import simulate

DEFAULT_RATE_HZ = 50.0


class SimulatedCamera:
    """Frames of [source.simulate] at rate_hz (50 without), for ever or for `frames`."""

    def __init__(self, section: SourceSection, stop: threading.Event, resume_at: int) -> None:
        self._section, self._scene, self._stop, self._first = section, section.scene(), stop, resume_at

    def events(self) -> Iterator[SourceEvent]:
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
