"""Micro-Manager's live mode, followed frame by frame without taking anything out of its buffer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from daemon.sources.camera import TICK_S, CameraFrame, Lost, SourceEvent, Waiting
from daemon.sources.camera_clock import CameraClock
from daemon.sources.field import CameraField, UnusableFieldError, changes, describe, field_of, settings_of
from daemon.sources.tail import Look, Nothing, Restarted, Tail, Take

POLL_S = 0.003
SETTINGS_S = 0.25
PRESS_LIVE = "live mode: press Live in Micro-Manager"
STOPPED = "live mode has stopped: press Live in Micro-Manager; if nobody stopped it, the camera has failed"
NUMBERS_BEGAN_AGAIN = "live mode was restarted, or its buffer emptied: frames lost between are unknown"


class LiveMode:
    """What an attached core shows in live mode. core: pycromanager's Core, or what has its methods."""

    def __init__(self, core: Any, source: str, stop: threading.Event) -> None:
        self._core, self._source, self._stop = core, source, stop

    def events(self) -> Iterator[SourceEvent]:
        from_oldest, why = False, PRESS_LIVE  # who attaches to a running live mode wants to see what is now
        while not self._stop.is_set():
            if self._core.is_sequence_running():
                yield Waiting("live mode: no frame has come yet")
                yield from self._sequence(Tail(from_oldest=from_oldest))
                why = STOPPED
            else:
                yield Waiting(why)
                self._stop.wait(TICK_S)
            from_oldest = True

    def _sequence(self, tail: Tail) -> Iterator[SourceEvent]:
        """One sequence, until it has stopped and all of it is seen, or another one runs."""
        core, stopped = self._core, False
        stream = _Stream(core, self._source)
        image: Any = None
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
                    try:
                        yield from stream.taken(image, tags, lost)
                    except UnusableFieldError as error:
                        yield Waiting(str(error))
                        self._stop.wait(TICK_S)
                case Restarted():
                    yield Waiting(NUMBERS_BEGAN_AGAIN)
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
            if type(error) is not Exception:
                raise
            if distance >= self._core.get_remaining_image_count():
                return None
        # It is there now: the buffer was emptied just then and has filled since, or this is a fault that stays.
        return self._core.get_n_before_last_tagged_image(distance)


class _Stream:
    """The stream that the images of a sequence are: another one as soon as field or settings change."""

    def __init__(self, core: Any, source: str) -> None:
        self._core, self._source = core, source
        self._field: CameraField | None = None
        self._settings, self._asked_s = settings_of(core), time.monotonic()
        self._clock = CameraClock()

    def taken(self, image: Any, tags: dict[str, Any], lost: int) -> Iterator[SourceEvent]:
        """The next image; `lost` before it fell out of the buffer. Raises UnusableFieldError."""
        field = field_of(tags)
        if self._field is None or (what := self._changed(field)):
            if self._field is not None:
                yield Waiting(f"a new stream begins: changed in Micro-Manager: {what}")
            self._field, self._settings, self._clock = None, settings_of(self._core), CameraClock()
            yield describe(self._core, self._source, field, self._settings)
            self._field = field
        elif lost:
            yield Lost(lost)
        pixels = image.pix
        if pixels.size != field.height * field.width:  # the field was changed between tags and pixels
            self._field = None
            yield Lost(1)
            yield Waiting("an image came while its field was being changed")
            return
        number, camera_ms = int(tags["ImageNumber"]), _camera_ms(tags)
        yield CameraFrame(pixels.reshape(field.height, field.width), number, camera_ms)
        if inside := self._clock.passed(number, camera_ms):
            yield Lost(inside, in_camera=True)

    def _changed(self, field: CameraField) -> str:
        if self._field is not None and field != self._field:
            return changes(self._field, field)
        if time.monotonic() - self._asked_s < SETTINGS_S:
            return ""
        self._asked_s = time.monotonic()
        return changes(self._settings, settings_of(self._core))


def _camera_ms(tags: dict[str, Any]) -> float | None:
    return float(tags["ElapsedTime-ms"]) if "ElapsedTime-ms" in tags else None
