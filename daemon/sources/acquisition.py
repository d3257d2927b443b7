"""Acquisition in Micro-Manager that the daemon starts itself.

Nothing else in the daemon changes Micro-Manager's settings.

The sequence is ours, so its images are popped: every one comes, in order, accounted by its number. What was set before
is set again at the end, whatever ends it: where it is a kill, the camera process after it does that first.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from daemon.config_base import Section
from daemon.sources.camera import TICK_S, CameraFrame, Lost, Pacer, Resume, SourceEvent, Waiting
from daemon.sources.field import stream_info
from selfstorm.errors import InputError
from selfstorm.frames import PixelType, StreamInfo

POLL_S = 0.002
LIVE = "live mode, or another acquisition, is on: stop it in Micro-Manager, then ours begins"
OURS_OR_LIVE = "the acquisition that was broken off, or live mode, is still on: ours goes on when it has ended"
PIXEL_TYPES: dict[int, PixelType] = {1: "uint8", 2: "uint16"}


class AcquisitionSection(Section):
    """[source.acquisition]: an acquisition started in Micro-Manager.

    Micro-Manager's settings are changed for it alone, and put back at the end.

    Attributes:
        frames: number of frames.
        exposure_ms: exposure of the camera; Micro-Manager's if not given.
        interval_ms: time between two frames; 0 leaves the pace to the camera.
        channel_group: group of presets that the channel is one of.
        channel: preset that is set; Micro-Manager's if not given.
    """

    frames: Annotated[int, Field(ge=1)]
    exposure_ms: Annotated[float, Field(gt=0, le=5000)] | None = None
    interval_ms: Annotated[float, Field(ge=0, le=3_600_000)] = 0.0
    channel_group: str | None = None
    channel: str | None = None

    @model_validator(mode="after")
    def _whole_channel(self) -> Self:
        if (self.channel_group is None) != (self.channel is None):
            raise ValueError("channel_group and channel belong together: give both or neither")
        return self


class Acquisition:
    """Frames of an acquisition, and then the end.

    Args:
        core: pycromanager's Core, of either backend.
        source: the source's URI.
        wanted: number of frames, channel and exposure.
        resume: `number` frames were taken by camera processes before this one; `left` are the settings as one before
            this one found them, if it was killed before it put them back.
        stop: ends the acquisition.
    """

    def __init__(
        self, core: Any, source: str, wanted: AcquisitionSection, resume: Resume, stop: threading.Event
    ) -> None:
        self._core, self._source, self._wanted, self._resume, self._stop = core, source, wanted, resume, stop
        self._taken = resume.number

    def events(self) -> Iterator[SourceEvent]:
        """Yield the frames, and the losses and waits between them."""
        core, left = self._core, self._resume.left
        while core.is_sequence_running():  # never stopped: ours ends by itself, should it be the one left behind
            yield Waiting(OURS_OR_LIVE if left else LIVE)
            if self._stop.wait(TICK_S):
                return
        if left:
            self._put_back(_Settings(**left))
        before = _found(core, self._wanted, self._source)
        self._resume.leave(asdict(before), before.in_words())
        try:
            self._change()
            yield self._describe()
            yield from self._snaps() if self._wanted.interval_ms else self._sequence()
        finally:
            with contextlib.suppress(Exception):  # the bridge may be what failed
                self._put_back(before)

    def _change(self) -> None:
        core, wanted = self._core, self._wanted
        if wanted.channel_group is not None:
            core.set_config(wanted.channel_group, wanted.channel)
            core.wait_for_config(wanted.channel_group, wanted.channel)
        if wanted.exposure_ms is not None:
            core.set_exposure(wanted.exposure_ms)

    def _put_back(self, before: _Settings) -> None:
        """Stop the sequence, if one of ours runs, and set everything as it was."""
        core = self._core
        if core.is_sequence_running():
            core.stop_sequence_acquisition()
        if before.exposure_ms is not None:
            core.set_exposure(before.exposure_ms)
        for device, name, value in before.properties:
            core.set_property(device, name, value)
        self._resume.leave({}, "")

    def _sequence(self) -> Iterator[SourceEvent]:
        """Yield the frames of a sequence at the camera's own pace."""
        core, frames, expected = self._core, self._wanted.frames - self._taken, 0
        if frames < 1:
            return
        core.start_sequence_acquisition(frames, 0.0, False)
        ended = False
        while not self._stop.is_set() and expected < frames:
            if core.get_remaining_image_count() > 0:
                image = core.pop_next_tagged_image()
                tags = image.tags
                number = int(tags["ImageNumber"])
                if number > expected:
                    yield Lost(number - expected)
                expected = number + 1
                pixels = image.pix.reshape(int(tags["Height"]), int(tags["Width"]))
                yield CameraFrame(pixels, self._taken + number, float(tags["ElapsedTime-ms"]))
            elif ended:
                yield Lost(frames - expected)
                yield Waiting(f"the camera stopped after {expected} of {frames} frames: a camera error?")
                return
            else:
                ended = not core.is_sequence_running()  # what is in the buffer by then is still taken
                self._stop.wait(POLL_S)
                yield None

    def _snaps(self) -> Iterator[SourceEvent]:
        """Yield single images at the configured interval."""
        core, started_s = self._core, time.monotonic()
        shape = int(core.get_image_height()), int(core.get_image_width())
        pace = Pacer(1000 / self._wanted.interval_ms, self._stop)
        for index in range(self._wanted.frames - self._taken):
            yield from pace.waits(index)
            if self._stop.is_set():
                return
            core.snap_image()
            camera_ms = (time.monotonic() - started_s) * 1000
            yield CameraFrame(core.get_image().reshape(shape), self._taken + index, camera_ms)

    def _describe(self) -> StreamInfo:
        core = self._core
        camera = core.get_camera_device()
        pixel_type = PIXEL_TYPES.get(core.get_bytes_per_pixel())
        if pixel_type is None or core.get_number_of_components() != 1:
            raise InputError(
                f"{camera} gives colour pixels", where=self._source, hint="set its PixelType to 8bit or 16bit"
            )
        roi = core.get_roi()
        y, x = (roi.y, roi.x) if hasattr(roi, "y") else (roi[1], roi[0])  # a Java rectangle, or a list
        return stream_info(
            self._source,
            f"{camera} ({core.get_device_name(camera)})",
            height=core.get_image_height(),
            width=core.get_image_width(),
            dtype=pixel_type,
            pixel_um=core.get_pixel_size_um(True),  # cached: a new one would query the objective turret
            exposure_ms=core.get_exposure(),
            bit_depth=core.get_image_bit_depth(),
            binning=str(core.get_property(camera, "Binning")) if core.has_property(camera, "Binning") else "",
            roi_yx=(y, x),
            interval_ms=self._wanted.interval_ms,
        )


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings that an acquisition changes, as they were before.

    Attributes:
        exposure_ms: exposure; None where it is not changed.
        properties: (device, property, value) of the channel.
    """

    exposure_ms: float | None
    properties: list[tuple[str, str, str]]

    def in_words(self) -> str:
        """Describe the settings, for an event if they are not put back."""
        exposure = [] if self.exposure_ms is None else [f"exposure {self.exposure_ms:g} ms"]
        return ", ".join([*exposure, *(f"{device}-{name} {value}" for device, name, value in self.properties)])


def _found(core: Any, wanted: AcquisitionSection, source: str) -> _Settings:
    """Read the settings that an acquisition will change.

    Args:
        core: of Micro-Manager.
        wanted: the acquisition.
        source: its URI, for error messages.

    Raises:
        InputError: there is no such channel.
    """
    properties: list[tuple[str, str, str]] = []
    if wanted.channel_group is not None and wanted.channel is not None:
        if not core.is_config_defined(wanted.channel_group, wanted.channel):
            raise InputError(
                f"Micro-Manager has no preset '{wanted.channel}' in a group '{wanted.channel_group}'",
                where=source,
                hint="correct channel and channel_group under [source.acquisition]",
            )
        members = _members(core.get_config_data(wanted.channel_group, wanted.channel))
        properties = [(device, name, str(core.get_property(device, name))) for device, name in members]
    return _Settings(core.get_exposure() if wanted.exposure_ms is not None else None, properties)


def _members(config: Any) -> list[tuple[str, str]]:
    """List (device, property) of a preset.

    The bridge's names and those of the Python backend differ.
    """
    size = int(config.size())
    if hasattr(config, "get_setting"):
        settings = [config.get_setting(index) for index in range(size)]
        return [(setting.get_device_label(), setting.get_property_name()) for setting in settings]
    settings = [config.getSetting(index) for index in range(size)]
    return [(setting.getDeviceLabel(), setting.getPropertyName()) for setting in settings]
