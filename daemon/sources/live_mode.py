"""Micro-Manager's live mode, followed frame by frame without taking anything out of its buffer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from daemon.sources.camera import TICK_S, Happening, Lost, Shot, Waiting
from daemon.sources.tail import Look, Nothing, Restarted, Tail, Take
from selfstorm.errors import InputError
from selfstorm.frames import PixelType, StreamInfo

POLL_S = 0.003
PIXEL_TYPES: dict[str, PixelType] = {"GRAY8": "uint8", "GRAY16": "uint16"}
Field = tuple[int, int, str, str, str]
PRESS_LIVE = "live mode: press Live in Micro-Manager"

log = logging.getLogger(__name__)


class LiveMode:
    """What an attached core shows in live mode. core: pycromanager's Core, or what has its methods."""

    def __init__(self, core: Any, source: str, stop: threading.Event) -> None:
        self._core, self._source, self._stop = core, source, stop

    def happenings(self) -> Iterator[Happening]:
        from_oldest = False  # who attaches to a running live mode wants to see what is now
        while not self._stop.is_set():
            if self._core.is_sequence_running():
                yield Waiting("live mode: no frame has come yet")
                yield from self._sequence(Tail(from_oldest=from_oldest))
            else:
                yield Waiting(PRESS_LIVE)
                self._stop.wait(TICK_S)
            from_oldest = True

    def _sequence(self, tail: Tail) -> Iterator[Happening]:
        """One sequence, until it has stopped and all of it is seen, or another one runs."""
        core, stopped = self._core, False
        info: StreamInfo | None = None
        image: Any = None
        tags: dict[str, Any] = {}
        field: Field | None = None
        step: Look | Take | Nothing | Restarted = tail.look(core.get_remaining_image_count())
        while not self._stop.is_set():
            match step:
                case Look(distance):
                    image = self._image(distance)
                    if image is None:
                        step = tail.gone(core.get_remaining_image_count())
                    else:
                        tags = image.tags
                        step = tail.found(int(tags["ImageNumber"]), _camera_ms(tags))
                    yield None
                    continue
                case Take(lost):
                    stopped = False
                    if info is None or field != _field(tags):
                        info, field = self._describe(tags), _field(tags)
                        yield info
                    elif lost:
                        yield Lost(lost)
                    pixels = image.pix
                    if pixels.size != info.height * info.width:  # the field was changed between tags and pixels
                        yield Waiting(f"an image of {pixels.size} pixels is not {info.width} x {info.height}")
                        return
                    pixels = pixels.reshape(info.height, info.width)
                    yield Shot(pixels, int(tags["ImageNumber"]), _camera_ms(tags))
                case Restarted():
                    log.warning("%s: the frame numbers began again; frames lost between are unknown", self._source)
                    yield Waiting("live mode was restarted: frames lost between are unknown")
                    return
                case Nothing():
                    if stopped:
                        return
                    stopped = not core.is_sequence_running()
                    self._stop.wait(POLL_S)
                    yield None
            step = tail.look(core.get_remaining_image_count())

    def _image(self, distance: int) -> Any:
        """The tagged image at this distance from the newest, None where the buffer has none (any more)."""
        try:
            return self._core.get_n_before_last_tagged_image(distance)
        except Exception as error:
            if type(error) is not Exception or distance < self._core.get_remaining_image_count():
                raise
            return None

    def _describe(self, tags: dict[str, Any]) -> StreamInfo:
        core = self._core
        camera, exposure_ms, pixel_nm = core.get_camera_device(), core.get_exposure(), core.get_pixel_size_um() * 1e3
        width, height, pixel_type, roi, binning = _field(tags)
        if pixel_type not in PIXEL_TYPES:
            raise InputError(
                f"{camera} gives {pixel_type} pixels",
                where=self._source,
                mend="set its PixelType to 8bit or 16bit in Micro-Manager's Device Property Browser",
            )
        if core.get_number_of_camera_channels() > 1:
            raise InputError(
                f"{camera} is several cameras at once", where=self._source, mend="choose one camera in Micro-Manager"
            )
        x, y = (int(part) for part in roi.split("-")[:2])
        return StreamInfo(
            stream=uuid4().hex,
            source=self._source,
            height=height,
            width=width,
            dtype=PIXEL_TYPES[pixel_type],
            pixel_nm=pixel_nm if pixel_nm > 0 else None,
            exposure_ms=exposure_ms,
            rate_hz=1000 / exposure_ms if exposure_ms > 0 else None,
            camera=f"{camera} ({core.get_device_name(camera)})",
            binning=int(binning.split("x")[0]),
            roi_yx=(y, x),
        )


def _field(tags: dict[str, Any]) -> Field:
    """What of an image's tags makes it a frame of one stream: width, height, pixel type, ROI, binning."""
    width, height = int(tags["Width"]), int(tags["Height"])
    return width, height, str(tags["PixelType"]), str(tags.get("ROI", "0-0")), str(tags.get("Binning", 1))


def _camera_ms(tags: dict[str, Any]) -> float | None:
    return float(tags["ElapsedTime-ms"]) if "ElapsedTime-ms" in tags else None
