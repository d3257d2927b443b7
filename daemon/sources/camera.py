"""Interface of a camera source: an iterator over its events.

    StreamInfo   a new stream begins: another field, another size, or simply a fresh start
    CameraFrame  the next frame of the stream
    Lost         frames that were lost before the next one
    Waiting      nothing yet, and why
    Note         a fact about the source that the user should know
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
    """One frame of the camera.

    Attributes:
        pixels: (H, W).
        number: the camera's own count.
        camera_ms: the camera's clock in ms; None where it has none.
    """

    pixels: Array
    number: int
    camera_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """Frames that were lost before they could be sent.

    Attributes:
        count: number of frames.
        cause: of the loss.
    """

    count: int
    cause: LossCause = LossCause.AT_SOURCE


@dataclass(frozen=True, slots=True)
class Waiting:
    """The source waits for something outside.

    Attributes:
        detail: description of it.
    """

    detail: str


@dataclass(frozen=True, slots=True)
class Note:
    """A fact about the source, such as pages of a recording that are left out.

    Attributes:
        text: in a sentence.
    """

    text: str


SourceEvent = StreamInfo | CameraFrame | Lost | Waiting | Note | None
RestartState = Mapping[str, Any]


def _discard(left: RestartState, debt: str) -> None:
    """Discard the state: there is no camera process after this one."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Position that the camera processes before this one reached.

    The first process has nothing to go on from.

    Attributes:
        number: the camera's number of the frame that should come next.
        sent: frames so far, in all streams.
        left: state that the last process left.
        leave: (left, debt) -> None, replaces the state that this process leaves, should it be killed; debt describes
            the settings of the microscope that must still be put back, empty for none.
    """

    number: int = 0
    sent: int = 0
    left: RestartState = field(default_factory=dict)
    leave: Callable[[RestartState, str], None] = _discard


class CameraError(SelfStormError):
    """The camera fails, in words; it may work again later, in another process."""


class Source(Protocol):
    """A camera.

    It is made without side effects that outlast it; a user's mistake raises InputError from the constructor.
    """

    def events(self) -> Iterator[SourceEvent]:
        """Yield all events until the source ends.

        The camera is released when the iterator is closed.
        """
        ...


class Pacer:
    """Waits until a frame of a stream is due.

    Args:
        rate_hz: frames a second; None to wait for none.
        stop: ends every wait.
    """

    def __init__(self, rate_hz: float | None, stop: threading.Event) -> None:
        self._rate_hz, self._stop = rate_hz, stop
        self._start_s: float | None = None

    def waits(self, index: int) -> Iterator[None]:
        """Yield at every tick until frame `index` is due."""
        if self._rate_hz is not None:
            yield from self.until(index / self._rate_hz)

    def until(self, at_s: float) -> Iterator[None]:
        """Yield at every tick until a frame is due.

        Args:
            at_s: seconds after the beginning of the stream; the first frame is due at once.
        """
        if self._start_s is None:
            self._start_s = time.perf_counter() - at_s
        due = self._start_s + at_s
        while (left := due - time.perf_counter()) > 0 and not self._stop.wait(min(left, TICK_S)):
            if left > TICK_S:
                yield None
