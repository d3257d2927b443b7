"""Stream of the images of a sequence.

It is described by the settings with which they were taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from daemon.sources.camera import CameraFrame, Lost, SourceEvent, Waiting
from daemon.sources.camera_clock import CameraClock
from daemon.sources.field import CameraField, UnusableFieldError, changes, describe, field_of, library_of, settings_of
from daemon.sources.image_buffer import BufferedImage
from daemon.sources.losses import LossCause

SETTINGS_S = 0.25


class LiveStream:
    """Stream of a sequence's images.

    A new stream begins as soon as the field or the settings change.
    """

    def __init__(self, core: Any, source: str, clock: Callable[[], float]) -> None:
        self._core, self._source, self._clock = core, source, clock
        self._field: CameraField | None = None
        self._settings, self._asked_s = settings_of(core), clock()
        self._library = ""  # of the camera
        self._camera_clock = CameraClock()
        self._lost: list[Lost] = []  # before the stream could be described

    def lost(self, loss: Lost) -> Iterator[SourceEvent]:
        """Report images before the next one as lost."""
        if loss.cause is LossCause.RESTARTED:  # estimated by the camera's clock already
            self._camera_clock = CameraClock(self._library)
        if self._field is None:
            self._lost.append(loss)
        else:
            yield loss

    def close(self) -> Iterator[SourceEvent]:
        """Report the losses of a stream that was never described."""
        yield from self._lost
        self._lost = []

    def taken(self, image: BufferedImage) -> Iterator[SourceEvent]:
        """Pass on the next image.

        It begins a new stream if a property of the images has changed.
        """
        field = field_of(image.tags)
        if self._field is None or (what := self._changed(field)):
            if self._field is not None:
                yield Waiting(f"a new stream begins: changed in Micro-Manager: {what}")
            self._field, self._settings = None, settings_of(self._core)
            self._library = library_of(self._core, self._settings.camera)
            self._camera_clock = CameraClock(self._library)
            try:
                info = describe(self._core, self._source, field, self._settings)
            except UnusableFieldError as error:
                yield Waiting(str(error))
                return
            yield info
            self._field = field
            yield from self._lost
            self._lost = []
        if image.pixels is None:
            raise RuntimeError("an image was passed on that was not fetched")
        yield CameraFrame(image.pixels.reshape(field.height, field.width), image.number, image.camera_ms)
        if inside := self._camera_clock.passed(image.number, image.camera_ms):
            yield Lost(inside, LossCause.IN_CAMERA)

    def _changed(self, field: CameraField) -> str:
        if self._field is not None and field != self._field:
            return changes(self._field, field)
        if self._clock() - self._asked_s < SETTINGS_S:
            return ""
        self._asked_s = self._clock()
        return changes(self._settings, settings_of(self._core))
