"""Choice of the next image to fetch from a circular buffer.

Numbers go in and distances come out; no camera is touched here.

Micro-Manager gives the image at a *distance* from the newest (0) without taking it out, and every image carries its
*number*; the core numbers them without gaps. An image found at a distance shows exactly which number was the newest
then: number + distance. New images come in before the next call arrives, so a distance is a guess again by then:

    every image is kept          the one that was asked for or not; it is passed on when those before it are
    a guess is made where it     so that whichever of the likely images is found, it is one that is still missing; a
    cannot be wrong              single hole is filled when no image is due, and other ones are fetched until then
    a call may be wasted         one of seven in the mean; where that is used up, an old hole is given up
    the camera is faster         than calls can be: the oldest missing images are given up evenly, counted as such
    what is gone is counted      by its number, with the cause that the buffer's state shows
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from statistics import median
from typing import Any

from daemon.sources.arrivals import Arrivals
from daemon.sources.camera import Lost
from daemon.sources.losses import LossCause
from daemon.sources.sequence_identity import ImageTimes, SequenceIdentity, max_disagreement

MAX_LOOKS_PER_FRAME = 1.15
SPARE_LOOKS = 8
WASTED_LOOKS, MAX_MARGIN = 8, 8  # images by which the bounds are widened, one for so many looks too many
BUSY = 0.88  # share of the time between two images that a call takes; from here on nothing is caught up
BUSY_BACKLOG_S, MIN_BACKLOG = 0.1, 8
HOLE_S = 0.3
QUIET_PERIODS, QUIET_S = 3, 0.03
LOOKS = 15  # whose usual time is that of a look
UNCERTAIN = 4


class Tail:
    """Follows one sequence.

    Args:
        first: number of the first image to fetch; None for the newest.
        capacity: images that the buffer holds, 0 if unknown.

    Attributes:
        newest: highest number that is known; None before the first image.
        newest_s: time at which it came.
        looks: calls so far.
        next_began_s: time at which the next sequence, or its numbers, began; None while unknown.
        next_images: images of that sequence so far.
        before_numbers: frames since the camera's clock began that came before number 0; None while unknown.
    """

    def __init__(self, first: int | None, capacity: int = 0) -> None:
        self._passed = -1 if first is None else first - 1  # all up to here were passed on or given up
        self._from_newest, self._capacity = first is None, capacity
        self._kept: dict[int, Any] = {}
        self._out: deque[Any] = deque()
        self._arrivals = Arrivals()
        self.newest: int | None = None
        self.newest_s = 0.0
        self._identity, self._newest_in_doubt = SequenceIdentity(), 0
        self._verified = False  # that none has come since the images were counted
        self._oldest: int | None = first  # that was in the buffer when it was counted last
        self._images = 0  # in the buffer when `newest` was
        self.looks, self._fetched = 0, 0
        self.next_began_s: float | None = None
        self.next_images = 0
        self.before_numbers: int | None = None
        self._took_s: deque[float] = deque(maxlen=LOOKS)
        self._search_newest = True
        self._emptied = 1
        self._expected, self._overrated = 0, False  # the newest number, and whether it was less: the camera pauses
        self._slack, self._cause = 2, LossCause.AT_SOURCE  # of the last count, and why images were gone then

    @property
    def period_s(self) -> float:
        """Time between two images, 0 while unknown."""
        return self._arrivals.period_s

    @property
    def began_s(self) -> float | None:
        """Time at which the camera's clock began, by ours; None while unknown."""
        return self._identity.clock_began_s

    @property
    def kept(self) -> Container[int]:
        """Numbers of images that were fetched and wait for those before them."""
        return self._kept

    @property
    def waiting(self) -> int:
        """Images that are known, and were neither passed on nor given up."""
        return 0 if self.newest is None else max(0, self.newest - self._passed)

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
        return self.newest is not None and not self._search_newest and self._next_missing() > self.newest

    def distance(self, at_s: float) -> int | None:
        """Choose the distance of the next image to fetch.

        Args:
            at_s: time at which the call is sent.

        Returns:
            The distance from the newest image; None where it is better to wait a moment, or for a new image.
        """
        if self.in_doubt:
            return max(0, self._newest_in_doubt - self._identity.known_number)
        if self.newest is None or self._search_newest:
            return 0
        low, high = (self.newest, self.newest) if self._overrated else self._arrivals.bounds(at_s, self.newest)
        self._expected = low
        self._limit_backlog(low)
        wasted = self.looks + 1 - MAX_LOOKS_PER_FRAME * (self._fetched + 1) - SPARE_LOOKS
        waited_s = max((low - self._next_missing()) * self.period_s, at_s - self.newest_s)
        # Where too many looks were wasted, the camera is less steady than its bounds say: they are widened for a while.
        margin = min(1 + int(wasted / WASTED_LOOKS), MAX_MARGIN) if wasted > 0 else 0
        surest = max(self.newest, low - margin)
        target = self._certain(surest, high + margin - surest)
        if target is not None:
            return surest - target
        if margin and waited_s > HOLE_S / 2 and (target := self._certain(low, high - low)) is not None:
            return low - target
        missing = self._next_missing()
        if missing > self.newest:
            return None
        if wasted <= 0:
            return max(0, (low + high) // 2 - missing)
        if waited_s > HOLE_S:
            self.give_up(missing + 1, LossCause.NOT_FETCHED)
        return None

    def took(self, sent_s: float, answered_s: float) -> None:
        """Record the duration of a call, with all queries that belong to it."""
        self._took_s.append(answered_s - sent_s)
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
        self.looks += 1
        number, newest = stamp.number, stamp.number + distance
        disagrees = self.newest is not None and self._identity.disagrees(stamp)
        if self.is_another(stamp, distance, sent_s) or (disagrees and self.in_doubt):
            self.another_began(stamp, distance, sent_s)
            return False
        if disagrees:
            self._identity.in_doubt, self._newest_in_doubt = True, newest
            return True
        if self.in_doubt:
            self._identity.settle()  # and the image is older than the newest one
            return True
        ran_s, began_s = self._identity.clock(stamp, distance, sent_s, self.period_s)
        self._identity.passed(stamp)
        if self.newest is None and self._from_newest:
            self._passed = number - 1
        grew = self.newest is None or newest > self.newest
        self._overrated = newest < self._expected or (self._overrated and not grew)
        if self.newest is None or newest >= self.newest:
            if self.newest is not None:
                self._images += newest - self.newest
                self._emptied += grew and self._verified  # or it came before they were counted: count once more
            self.newest, self.newest_s = newest, sent_s
        self._arrivals.newest_was(newest, sent_s)
        if stamp.camera_ms is not None:
            self._arrivals.stamped(number, stamp.camera_ms)
        if grew and began_s is not None:
            self.newest_s = self._identity.clock_ran(ran_s, began_s, late=stamp.received_s is None)
            if self.before_numbers is None:
                self.before_numbers = self._identity.before_numbers(ran_s, newest)
        if distance == 0:
            self._search_newest = False
        if number > self._passed and number not in self._kept:
            self._kept[number] = image
            self._fetched += 1
        self._advance()
        return True

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
        return another

    def another_began(self, stamp: ImageTimes, distance: int, sent_s: float) -> None:
        """Learn when another sequence began, and how many images it has.

        The camera's clock began with it, unless only its numbers began again, perhaps after a restart: then the clock
        began too early, and the time between two images shows when image 0 came.
        """
        self.next_images, period_s = stamp.number + distance + 1, self._steady_period_s
        _, self.next_began_s = self._identity.clock(stamp, distance, sent_s, period_s)
        if not period_s:
            return
        taken_s = sent_s if stamp.received_s is None else stamp.received_s
        numbers_began_s = max(self.newest_s, taken_s - (stamp.number + 0.5) * period_s)
        surely_s = (self.next_began_s or 0.0) + max_disagreement(stamp.number) * period_s
        if self.next_began_s is None or self.next_began_s < self.newest_s - period_s / 2 or numbers_began_s > surely_s:
            self.next_began_s = numbers_began_s

    @property
    def _steady_period_s(self) -> float:
        """Time between two images, where possible by a clock that no call delays."""
        return self._identity.period_s or self.period_s

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
        elif images > self._images:
            self.newest, self.newest_s = self.newest + images - self._images, at_s
            self._arrivals.newest_was(self.newest, at_s)
            self._verified = False
        elif not self._verified and at_s - self.newest_s > QUIET_PERIODS * self.period_s + QUIET_S:
            # One may have come between the newest image and the count that was paired with it.
            self._search_newest = self._verified = images > 0
        self._images = images

    def gone(self) -> None:
        """Learn that there was no image at the chosen distance.

        The newest one must be found again, and the images counted.
        """
        self.looks += 1
        if self.in_doubt:
            self._identity.settle()
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
        if self.newest is None:
            return None
        oldest = self.newest - images + 1  # or later, by those that came in between
        slack = self._arrived_meanwhile(within_s)
        removed = 0 if self._oldest is None else oldest - self._oldest
        cause = None
        if oldest > self._passed + 1 and removed > 0:
            if removed > self._slack + slack:
                self._cause = self._cause_of(removed, self._slack + slack)
            cause = self._cause
            self.give_up(oldest, cause)
        self._oldest, self._slack = oldest, slack
        return cause

    def give_up(self, before: int, cause: LossCause) -> None:
        """Pass on the fetched images before a number, and lose the others.

        Args:
            before: number of the first image that is not given up.
            cause: of the loss.
        """
        lost = 0
        while self._passed + 1 < before:
            later = min((number for number in self._kept if number < before), default=before)
            lost = later - self._passed - 1
            if lost:
                self._out.append(Lost(lost, cause))
            self._passed = later - 1
            self._advance()

    def give_up_all(self, cause: LossCause) -> None:
        """Give up all known images that were not fetched."""
        if self.newest is not None:
            self.give_up(self.newest + 1, cause)

    def ready(self) -> Iterator[Any]:
        """Yield images in order, and losses where they happened."""
        while self._out:
            yield self._out.popleft()

    def unseen(self, until_s: float) -> int:
        """Estimate the images after the newest known one.

        Args:
            until_s: end of the sequence.

        Returns:
            Number of images by the camera's frame time; 0 where that is unknown.
        """
        period_s = self._steady_period_s
        if self.newest is None or not period_s:
            return 0
        return max(0, round((until_s - self.newest_s) / period_s - 0.5))

    def _limit_backlog(self, newest: int) -> None:
        """Give up the oldest images if the camera is too fast to catch up."""
        period_s = self.period_s
        if self.newest is None or not self._is_busy(period_s):
            return
        limit = max(MIN_BACKLOG, int(BUSY_BACKLOG_S / period_s))
        if newest - self._passed > limit:
            self.give_up(min(newest - limit, self.newest) + 1, LossCause.NOT_FETCHED)

    def _certain(self, low: int, open_: int) -> int | None:
        """Find the oldest missing image that is safe to request.

        Whichever image is found in its place is missing, too.
        """
        run, first = 0, self._next_missing()
        if self._is_busy(self.period_s):  # an image that is given up next is not worth a call that may come too late
            first = min(first + open_ + 1, max(first, low))
        for number in range(first, low + 1):
            run = 0 if number in self._kept else run + 1
            if run > open_:
                return number - open_
        return None

    def _is_busy(self, period_s: float) -> bool:
        """Return True if calls take too long to catch up."""
        return bool(self._took_s) and median(self._took_s) > BUSY * period_s > 0

    def _arrived_meanwhile(self, within_s: float) -> int:
        """Bound how many images come between a look and a count."""
        if not (self.period_s and self._took_s):
            return 2
        return 2 + int(2 * max(median(self._took_s), self._took_s[-1], within_s) / self.period_s)

    def _next_missing(self) -> int:
        return self._passed + 1

    def _advance(self) -> None:
        while self._passed + 1 in self._kept:
            self._passed += 1
            self._out.append(self._kept.pop(self._passed))

    def _cause_of(self, removed: int, slack: int) -> LossCause:
        """Infer the cause from the number of images that are gone.

        A full buffer is emptied at once; another program takes images one by one.
        """
        if self._capacity < UNCERTAIN * slack or not self.period_s:  # too small to distinguish them, or unknown
            return LossCause.AT_SOURCE
        beyond = removed % self._capacity
        full = removed >= self._capacity - slack and min(beyond, self._capacity - beyond) <= slack
        return LossCause.AT_SOURCE if full else LossCause.TAKEN
