"""Account of the frames of a restart, which cannot be fetched any more.

They came at the end of a sequence, or before the first number of the next one. Their number is estimated by the time
between two frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from daemon.sources.camera import Lost
from daemon.sources.losses import LossCause
from daemon.sources.sequence_identity import UNWATCHED_S, ImageTimes
from daemon.sources.tail import Tail

UNSURE_S = 0.1  # of the time at which no sequence ran


class UnseenFrames(NamedTuple):
    """A sequence that took frames after its last known one.

    Attributes:
        tail: of the sequence.
        until_s: time by which the sequence had ended.
    """

    tail: Tail
    until_s: float

    def before(self, stamp: ImageTimes, distance: int, found_s: float) -> int:
        """Estimate the frames before the next sequence began.

        Args:
            stamp: number and times of an image of the next sequence.
            distance: at which it was found.
            found_s: time at which it was.
        """
        tail = self.tail
        if tail.end.next_began_s is None:
            tail.another_began(stamp, distance, found_s)
        unseen = tail.unseen(min(tail.end.next_began_s or found_s, self.until_s)) + tail.end.next_before_numbers
        went_back = stamp.number + distance + 1 < tail.end.next_images  # one after the next is found
        return unseen + tail.end.next_images * went_back

    def at_the_end(self, now_s: float, images: int) -> int:
        """Estimate the frames where no sequence runs now.

        Those of a sequence that began after this one, and has stopped as well, are among them.

        Args:
            now_s: time.
            images: in the buffer.
        """
        if self.tail.end.next_seen is not None:
            self.tail.end.next_images = max(self.tail.end.next_images, images)
        return self.with_the_next(now_s) + self.tail.waiting

    def with_the_next(self, now_s: float) -> int:
        """Estimate the frames where nothing shows when the sequence had ended.

        The known images of the one that began after it are among them: they cannot be read any more.
        """
        tail = self.tail
        return tail.unseen(min(now_s, self.until_s)) + tail.end.next_before_numbers + tail.end.next_images


class SequenceStart(NamedTuple):
    """Start of a sequence, as far as it was watched.

    Attributes:
        idle_s: time at which no sequence ran.
        running_s: time at which one did.
    """

    idle_s: float
    running_s: float


class RestartAccount:
    """Account of the frames before the first image of a sequence.

    Args:
        before: frames of the sequence before it, until its first image shows when that had ended.
        start: of the sequence; None where it may have begun before it was looked for.
    """

    def __init__(self, before: UnseenFrames | None, start: SequenceStart | None) -> None:
        self._before, self._start = before, start if before is None else None
        self._first: tuple[ImageTimes, int, float] | None = None

    def found(self, stamp: ImageTimes, distance: int, sent_s: float) -> None:
        """Learn of an image of the sequence.

        Args:
            stamp: number and times of the image.
            distance: at which it was found.
            sent_s: time at which the call was sent.
        """
        self._first = self._first or (stamp, distance, sent_s)

    def losses(self, tail: Tail) -> Iterator[Lost]:
        """Yield the estimated losses, as soon as the images show them.

        Args:
            tail: of the sequence.
        """
        if self._before is not None and self._first is not None:
            yield from _lost(self._before.before(*self._first))
            self._before = None
        yield from self._since_the_clock_began(tail, steady=True)

    def close(self, tail: Tail, now_s: float) -> Iterator[Lost]:
        """Yield the remaining losses when the sequence ends.

        No image of it need have been found.

        Args:
            tail: of the sequence.
            now_s: time.
        """
        if self._before is not None:
            before = self._before
            yield from _lost(before.before(*self._first) if self._first else before.with_the_next(now_s))
        self._before = None
        yield from self._since_the_clock_began(tail, steady=False)

    def _since_the_clock_began(self, tail: Tail, *, steady: bool) -> Iterator[Lost]:
        before_numbers, began_s = tail.before_numbers(steady=steady), tail.began_s
        if self._start is None or began_s is None or before_numbers is None:
            return
        idle_s, running_s = self._start
        self._start = None
        # The camera's clock began with the sequence, and numbers began again; or it began long after a sequence was
        # seen to run, which was restarted.
        count = before_numbers if began_s >= idle_s - UNSURE_S else 0
        if began_s - running_s > UNWATCHED_S:
            count += round((began_s - running_s) / tail.period_s)
        yield from _lost(count)


def _lost(count: int) -> Iterator[Lost]:
    if count:
        yield Lost(count, LossCause.RESTARTED)
