"""Position in the buffer of one sequence.

Numbers go in and distances come out; no camera is touched here.

Every image carries its *number*; the core numbers them without gaps. An image found at a distance from the newest
shows exactly which number was the newest then: number + distance. Every image is kept, the one that was asked for or
not (`frame_order.py`); which one is fetched next is chosen in `next_look.py`. What is gone is counted by its number,
with the cause that the buffer's state shows.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from daemon.sources.frame_order import FrameOrder
from daemon.sources.images_in_doubt import ImagesInDoubt
from daemon.sources.losses import LossCause
from daemon.sources.next_look import NextLook
from daemon.sources.removed_images import RemovedImages
from daemon.sources.sequence_end import SequenceEnd
from daemon.sources.sequence_identity import UNWATCHED_S, CameraClockReading, ImageTimes, SeenImage, SequenceIdentity

QUIET_PERIODS, QUIET_S = 3, 0.03


class Tail:
    """Follows one sequence.

    Args:
        first: number of the first image to fetch; None for the newest.
        capacity: images that the buffer holds, 0 if unknown.

    Attributes:
        newest: highest number that is known; None before the first image.
        newest_s: time at which it came.
        end: evidence of how it ended, and of the next sequence.
        usual_period_s: time between two images until it is known of this sequence; 0 while unknown.
    """

    def __init__(self, first: int | None, capacity: int = 0) -> None:
        self._order = FrameOrder(first)
        self._next_look = NextLook(self._order)
        self.newest: int | None = None
        self.newest_s = 0.0
        self._timed: int | None = None  # the newest one, by the camera's clock
        self._identity = SequenceIdentity()
        self._images_in_doubt = ImagesInDoubt(self._identity)
        self._took_s = 0.0  # of the last call
        self._verified = False  # that none has come since the images were counted
        self._removed = RemovedImages(first, capacity)
        self._images = 0  # in the buffer when `newest` was
        self.end = SequenceEnd(capacity)
        self.usual_period_s = 0.0
        self._search_newest = True
        self._emptied = 1

    @property
    def period_s(self) -> float:
        """Time between two images, 0 while unknown."""
        return self._next_look.period_s

    @property
    def began_s(self) -> float | None:
        """Time at which the camera's clock began, by ours; None while unknown."""
        clock = self._identity.first_clock
        return None if clock is None else clock.began_s

    @property
    def kept(self) -> Container[int]:
        """Numbers of images that were fetched and wait for those before them."""
        return self._order.kept

    @property
    def waiting(self) -> int:
        """Images that are known, and were neither passed on nor given up."""
        return 0 if self.newest is None else max(0, self.newest - self._order.passed)

    @property
    def must_count(self) -> bool:
        """True where the content of the buffer is unknown.

        The images must be counted, after the newest one was found.
        """
        return self._emptied > 0

    @property
    def in_doubt(self) -> bool:
        """True until it is known whether the images are of this sequence.

        An image of a known number must be fetched again.
        """
        return self._identity.in_doubt

    @property
    def searches_newest(self) -> bool:
        """True until the newest image is found."""
        return self._search_newest

    @property
    def caught_up(self) -> bool:
        """True when all known images were fetched."""
        return self.newest is not None and not self._search_newest and self._order.next_missing > self.newest

    @property
    def saves_looks(self) -> bool:
        """True where too many looks brought nothing, and counts show new images."""
        return self._next_look.wasted > 0

    def distance(self, at_s: float) -> int | None:
        """Choose the distance of the next image to fetch.

        Args:
            at_s: time at which the call is sent.

        Returns:
            The distance from the newest image; None where it is better to wait a moment, or for a new image.
        """
        if self.in_doubt:
            return self._images_in_doubt.distance
        if self.newest is None or self._search_newest:
            return 0
        return self._next_look.distance(self.newest, self.newest_s, at_s)

    def took(self, sent_s: float, answered_s: float) -> None:
        """Record the duration of a call, with all queries that belong to it."""
        self._took_s = answered_s - sent_s
        self._next_look.took(sent_s, answered_s)
        self._identity.heard(sent_s, answered_s)

    def found(self, stamp: ImageTimes, image: Any, distance: int, sent_s: float) -> bool:
        """Keep an image, and learn the newest number from it.

        Where it is in doubt whether the image belongs to this sequence, it is not kept.

        Args:
            stamp: number and times of the image.
            image: to be passed on in its turn.
            distance: at which it was found.
            sent_s: time at which the call was sent.

        Returns:
            False where the image belongs to another sequence.
        """
        self._next_look.looks += 1
        if self.in_doubt:
            included = self._verify(stamp, distance, sent_s)
            if included:
                self._next_look.fetched += self._order.keep(stamp.number, image)
            return included is not False
        if self.is_another(stamp, distance, sent_s):
            self.another_began(stamp, distance, sent_s)
            return False
        if self.newest is not None and self._identity.must_verify(stamp):
            newest = stamp.number + distance
            self._images_in_doubt.begin(newest, newest_is_old=self._took_s > UNWATCHED_S)
            if newest == self.newest and self._identity.includes(stamp):
                self.end.still_s = sent_s
            return True
        self._learn(stamp, distance, sent_s)
        self._next_look.fetched += self._order.keep(stamp.number, image)
        return True

    def _verify(self, stamp: ImageTimes, distance: int, sent_s: float) -> bool | None:
        """Compare an image that was fetched again with the one before.

        Returns:
            True where it is one of this sequence, False where it is another one's, None where nothing shows it.
        """
        another = self.is_another(stamp, distance, sent_s)
        included = self._images_in_doubt.compare(stamp, distance, another=another)
        if included is False:
            self.another_began(stamp, distance, sent_s)
        elif included or self._images_in_doubt.is_given_up:
            if included:
                self._learn(stamp, distance, sent_s)  # it is older than the newest one
            self._identity.settle()
        return included

    def began_with(self, seen: SeenImage) -> None:
        """Learn of an image of this sequence that was seen before."""
        self._identity.heard(seen.sent_s, seen.sent_s)
        self._learn(*seen)
        self._search_newest, self._images = True, seen.stamp.number + seen.distance + 1  # as far as is known

    def _learn(self, stamp: ImageTimes, distance: int, sent_s: float) -> None:
        """Learn the newest number and the clocks from an image of this sequence."""
        newest = stamp.number + distance
        ran_s, began_s = self._identity.clock(stamp, distance, sent_s, self.period_s or self.usual_period_s)
        period_s = self.steady_period_s
        if (skipped := self._identity.skipped(stamp)) is not None:
            self.usual_period_s = period_s
            self._next_look.numbers_began_again()
            if skipped:
                self._order.lose(skipped, LossCause.RESTARTED)
        self._identity.passed(stamp)
        grew = self.newest is None or newest > self.newest
        if newest == self.newest:
            self.end.still_s = sent_s
        self._next_look.found(stamp.number, stamp.camera_ms, newest, sent_s, grew=grew)
        if self.newest is None or newest >= self.newest:
            if self.newest is not None:
                self._images += newest - self.newest
                self._emptied += grew and self._verified  # or it came before they were counted: count once more
            self.newest, self.newest_s = newest, sent_s
        if newest == self.newest and newest != self._timed and began_s is not None:
            self._timed = newest
            taken_s = self._identity.clock_ran(
                CameraClockReading(newest, ran_s, began_s), late=stamp.received_s is None
            )
            self.newest_s = max(taken_s, sent_s - self.steady_period_s)  # the next one had not come by then
        if distance == 0:
            self._search_newest = False

    def is_another(self, stamp: ImageTimes, distance: int, sent_s: float) -> bool:
        """Return True if an image shows by itself that another sequence has begun.

        Args:
            stamp: number and times of the image.
            distance: at which it was found.
            sent_s: time at which the call was sent.
        """
        if self.newest is None:
            return False
        _, began_s = self._identity.clock(stamp, distance, sent_s, self.period_s)
        return stamp.number + distance < self.newest or self._identity.clock_began_again(began_s)

    def includes(self, stamp: ImageTimes) -> bool:
        """Return True if an image is shown to belong to this sequence."""
        return self.newest is not None and self._identity.includes(stamp) is True

    def unreadable(self, stamp: ImageTimes, distance: int, sent_s: float) -> bool:
        """Learn of an image that cannot be read, for the camera was changed.

        Args:
            stamp: number and times of the image.
            distance: at which it was found.
            sent_s: time at which the call was sent.

        Returns:
            True where it is another sequence's, as far as number and time show.
        """
        disagrees = self.newest is not None and self._identity.disagrees(stamp)
        another = self.is_another(stamp, distance, sent_s) or disagrees
        if another:
            self.another_began(stamp, distance, sent_s)
        elif self.includes(stamp):
            self._learn(stamp, distance, sent_s)
        return another

    def another_began(self, stamp: ImageTimes, distance: int, sent_s: float) -> None:
        """Learn of an image of another sequence."""
        period_s = self.steady_period_s
        _, began_s = self._identity.clock(stamp, distance, sent_s, period_s)
        self.end.another_began(SeenImage(stamp, distance, sent_s), began_s, self.newest_s, period_s)

    def before_numbers(self, *, steady: bool) -> int | None:
        """Estimate the frames before number 0, since the camera's clock began.

        Args:
            steady: wait until the time between two images is known well.

        Returns:
            Number of frames; None while that time is not known.
        """
        return None if self.newest is None else self._identity.before_numbers(steady=steady)

    @property
    def steady_period_s(self) -> float:
        """Time between two images, where possible by a clock that no call delays.

        It is 0 while unknown.
        """
        return self._identity.best_period_s(self.usual_period_s) or self.period_s

    def counted(self, images: int, at_s: float, *, last: bool = False) -> None:
        """Learn how many images the buffer holds.

        More have come, or some were taken out.

        Args:
            images: in the buffer.
            at_s: time of the count.
            last: no image can be fetched any more, to see which sequence they are of.
        """
        self._identity.heard(at_s, at_s)
        if self.newest is None:
            self._search_newest = images > 0
        elif images < self._images or (self._identity.unwatched and not last):  # or they are another sequence's
            self._search_newest, self._emptied = images > 0, self._emptied + 1
            self.counted_in_doubt(images, at_s)
            return
        elif images > self._images:
            self.newest, self.newest_s = self.newest + images - self._images, at_s
            self._next_look.newest_was(self.newest, at_s)
            self._verified = False
        elif not self._verified and at_s - self.newest_s > QUIET_PERIODS * self.period_s + QUIET_S:
            # One may have come between the newest image and the count that was paired with it.
            self._search_newest = self._verified = images > 0
        self._images = images

    def counted_in_doubt(self, images: int, at_s: float) -> None:
        """Learn how many images the buffer holds, which may be another sequence's.

        Args:
            images: in the buffer.
            at_s: time of the count.
        """
        if self.newest is not None:
            self.end.counted(self.newest + images - self._images, at_s)

    def gone(self) -> None:
        """Learn that there was no image at the chosen distance.

        The newest one must be found again, and the images counted.
        """
        self._next_look.looks += 1
        if self.in_doubt:
            self._identity.settle(known_is_gone=True)
        self._search_newest, self._emptied = True, self._emptied + 1

    def reattached(self) -> None:
        """Learn that nothing was heard for a while: another sequence may run."""
        self._search_newest, self._emptied, self._identity.unwatched = True, self._emptied + 1, True

    def settled(self, images: int, within_s: float = 0.0) -> LossCause | None:
        """Learn how many images are left, and give up the older ones.

        Args:
            images: in the buffer, counted after the newest one was found.
            within_s: time that finding and counting took.

        Returns:
            Cause of the loss; None where nothing was lost.
        """
        self._images, self._emptied = images, 0
        self.end.settled()
        if self.newest is None:
            return None
        oldest = self.newest - images + 1  # or later, by those that came in between
        slack = self._next_look.arrived_meanwhile(within_s)
        cause = self._removed.counted(oldest, slack, steady=self.period_s > 0)
        if cause is None or oldest <= self._order.passed + 1:
            return None
        self._order.give_up(oldest, cause)
        return cause

    def give_up_all(self, cause: LossCause) -> None:
        """Give up all known images that were not fetched."""
        if self.newest is not None:
            self._order.give_up(self.newest + 1, cause)

    def ready(self) -> Iterator[Any]:
        """Return images in order, and losses where they happened."""
        return self._order.ready()

    def unseen(self, until_s: float) -> int:
        """Estimate the images after the newest known one.

        Args:
            until_s: end of the sequence.

        Returns:
            Number of images by the camera's frame time; 0 where that is unknown.
        """
        period_s = self.steady_period_s
        if self.newest is None or not period_s:
            return 0
        return self.end.unseen(self.newest, self.newest_s, period_s, until_s)
