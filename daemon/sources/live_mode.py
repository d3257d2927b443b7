"""Micro-Manager's live mode, followed frame by frame.

No image is taken out of Micro-Manager's buffer.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from daemon.sources.camera import TICK_S, Lost, SourceEvent, Waiting
from daemon.sources.core_clock import CoreClock
from daemon.sources.field import UnusableFieldError, check_camera
from daemon.sources.image_buffer import ImageBuffer
from daemon.sources.left_images import LeftImages
from daemon.sources.live_sequence import LiveSequence
from daemon.sources.live_stream import LiveStream
from daemon.sources.losses import LossCause
from daemon.sources.sequence_identity import SeenImage
from daemon.sources.unseen_frames import RestartAccount, SequenceStart, UnseenFrames

PRESS_LIVE = "live mode: press Live in Micro-Manager"
STOPPED = "live mode has stopped: press Live in Micro-Manager"
NO_FRAME = "live mode: no frame has come yet"


class _FoundSequence(NamedTuple):
    """A sequence to be followed.

    Attributes:
        buffer: with its images.
        running_s: time at which it was known to run; infinite where it never was.
        newest: an image of it that was seen already.
    """

    buffer: ImageBuffer
    running_s: float
    newest: SeenImage | None = None


class LiveMode:
    """The frames that an attached core shows in live mode.

    Args:
        core: pycromanager's Core, or what has its methods.
        source: the source's URI.
        stop: ends it.
        clock: seconds that pass, for a simulation.
    """

    def __init__(
        self, core: Any, source: str, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._core, self._source, self._stop, self._clock = core, source, stop, clock
        self._core_clock = CoreClock()
        self._broken_off: UnseenFrames | None = None
        self._left = LeftImages(clock, self._core_clock)
        self._period_s = 0.0  # of the last sequence

    def attach(self, core: Any) -> None:
        """Go on with another connection to the core, after the last one failed."""
        self._core = core

    def events(self) -> Iterator[SourceEvent]:
        """Yield the events of every sequence, until stopped."""
        unseen: UnseenFrames | None = None  # frames of the last sequence, until the next one shows when that had ended
        first, why = None, PRESS_LIVE  # the user who attaches to a running live mode wants to see the present
        idle_s: float | None = None
        while not self._stop.is_set():
            if unusable := self._unusable():
                yield Waiting(unusable)
                self._stop.wait(TICK_S)
            elif (found := self._running() or self._missed()) is None:
                if self._broken_off is not None:
                    unseen, self._broken_off = self._broken_off, None
                if unseen is not None and (count := unseen.at_the_end(self._clock(), self._left.images)):
                    yield Lost(count, LossCause.RESTARTED)
                if self._left.unreadable:
                    yield Lost(self._left.unreadable, LossCause.CHANGED)
                unseen, idle_s = None, self._clock()
                yield Waiting(why)
                self._stop.wait(TICK_S)
            else:
                yield Waiting(NO_FRAME)
                start = None if idle_s is None else SequenceStart(idle_s, found.running_s)
                sequence = self._sequence(found, first, unseen, start)
                try:
                    yield from sequence.events()
                except Exception:  # of the bridge: the sequence may go on
                    self._broken_off = UnseenFrames(sequence.tail, self._clock())
                    yield from sequence.stream.close()
                    raise
                why, unseen, idle_s = STOPPED, sequence.unseen, None
                self._left.followed(sequence.tail)
                self._period_s = sequence.tail.steady_period_s
            first = 0

    def _sequence(
        self, found: _FoundSequence, first: int | None, unseen: UnseenFrames | None, start: SequenceStart | None
    ) -> LiveSequence:
        """Begin a sequence, or go on with the one at which the bridge failed."""
        stream = LiveStream(self._core, self._source, self._clock)
        broken_off, self._broken_off = self._broken_off, None
        account = RestartAccount(unseen, start)
        sequence = LiveSequence(stream, found.buffer, first, self._stop, self._clock, self._core_clock, account)
        if broken_off is not None:
            sequence.go_on_with(broken_off)
            return sequence
        sequence.tail.usual_period_s = self._period_s
        seen = found.newest or (unseen.tail.end.next_seen if unseen is not None else None)
        if seen is not None:
            sequence.began_with(seen)
        return sequence

    def _unusable(self) -> str:
        """Return why the camera's images are unusable; empty if they are not."""
        try:
            check_camera(self._core)
        except UnusableFieldError as error:
            return str(error)
        return ""

    def _running(self) -> _FoundSequence | None:
        """Return the sequence that runs; None where none does.

        It must run both before and after the size of its images is queried.
        """
        if not self._core.is_sequence_running():
            return None
        running_s, buffer = self._clock(), ImageBuffer(self._core)
        return _FoundSequence(buffer, running_s) if buffer.is_running() else None

    def _missed(self) -> _FoundSequence | None:
        """Return a sequence that began and ended unseen; None where none is left."""
        missed = self._left.missed(self._core)
        return None if missed is None else _FoundSequence(missed.buffer, math.inf, missed.newest)
