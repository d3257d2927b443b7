"""What a camera source is: an iterator that says what happens at the camera.

    StreamInfo   a new stream begins: another field, another size, or simply a fresh start
    Shot         the next frame of the stream
    Lost         frames the source knows to be lost before the next one
    Waiting      nothing yet, and why
    None         nothing new

It yields at least every 0.1 s or so, because heartbeats are sent in between: a source that hangs is noticed by its
silence and replaced.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from daemon.sources.losses import LossCause
from selfstorm.errors import SelfStormError
from selfstorm.frames import Array, StreamInfo

TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """One frame. pixels: (H, W). number: the camera's own count. camera_ms: the camera's clock."""

    pixels: Array
    number: int
    camera_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """`count` frames were lost before they could be sent, and why."""

    count: int
    cause: LossCause = LossCause.AT_SOURCE


@dataclass(frozen=True, slots=True)
class Waiting:
    """The source waits for something outside; detail says for what."""

    detail: str


SourceEvent = StreamInfo | CameraFrame | Lost | Waiting | None
RestartState = Mapping[str, Any]


def _to_nobody(left: RestartState, debt: str) -> None:
    """There is no camera process after this one."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Where the camera processes before this one came to; nothing for the first.

    number: the camera's, of the frame that should come next. sent: frames so far, in all streams. left: what the last
    one had to say. leave(left, debt): say it in turn, should this one be killed, instead of what was said before; debt:
    what of the microscope must still be put back, in words, empty for nothing.
    """

    number: int = 0
    sent: int = 0
    left: RestartState = field(default_factory=dict)
    leave: Callable[[RestartState, str], None] = _to_nobody


class CameraError(SelfStormError):
    """The camera fails, in words; it may work again later, in another process."""


class Source(Protocol):
    """A camera. Made without side effects that outlast it; a user's mistake raises InputError from the constructor."""

    def events(self) -> Iterator[SourceEvent]:
        """All that happens, until the source ends; who takes no more lets the camera go with it."""
        ...


class Pacer:
    """Waits until a frame of a stream is due: frame k of a rate, at once without one, or the frame of some time."""

    def __init__(self, rate_hz: float | None, stop: threading.Event) -> None:
        self._rate_hz, self._stop = rate_hz, stop
        self._start_s: float | None = None

    def waits(self, index: int) -> Iterator[None]:
        """Yields every tick until the frame is due."""
        if self._rate_hz is not None:
            yield from self.until(index / self._rate_hz)

    def until(self, at_s: float) -> Iterator[None]:
        """Yields every tick until a frame at_s after the stream's beginning is due; the first one is at once."""
        if self._start_s is None:
            self._start_s = time.perf_counter() - at_s
        due = self._start_s + at_s
        while (left := due - time.perf_counter()) > 0 and not self._stop.wait(min(left, TICK_S)):
            if left > TICK_S:
                yield None
