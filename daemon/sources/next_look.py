"""Choice of the next image to fetch from a circular buffer.

Micro-Manager gives the image at a *distance* from the newest (0) without taking it out. New images come in before a
call arrives, so a distance is a guess by then:

    a guess is made where it     so that whichever of the likely images is found, it is one that is still missing; a
    cannot be wrong              single hole is filled when no image is due, and other ones are fetched until then
    a call may be wasted         one of seven in the mean; where that is used up, an old hole is given up
    the camera is faster         than calls can be: the oldest missing images are given up evenly, counted as such
"""

from __future__ import annotations

from collections import deque
from statistics import median

from daemon.sources.arrivals import Arrivals
from daemon.sources.frame_order import FrameOrder
from daemon.sources.losses import LossCause

MAX_LOOKS_PER_FRAME = 1.15
SPARE_LOOKS = 8
WASTED_LOOKS, MAX_MARGIN = 8, 64  # images by which the bounds are widened, one for so many looks too many
MAX_MARGIN_OF_HOLE = 4  # up to which a hole is tried once more, as if the bounds were right
BUSY = 0.88  # share of the time between two images that a call takes; from here on nothing is caught up
BUSY_BACKLOG_S, MIN_BACKLOG = 0.1, 8
HOLE_S = 0.3
MARK_S, MARKS = 0.05, 40  # between two marks of how far the numbers were, and their number
MIN_MARKED_S = 0.1  # for which a camera must be too fast, or its images only came at once
MAX_LATE = 8  # images by which a new one may be behind its prediction; else the camera has paused
LOOKS, MIN_LOOKS = 15, 7  # whose usual time is that of a look, and from how many on it is known


class NextLook:
    """Chooses what to fetch, by when images came and how long calls took.

    Args:
        order: of the images that were fetched.

    Attributes:
        looks: calls so far.
        fetched: images that they brought.
    """

    def __init__(self, order: FrameOrder) -> None:
        self._order = order
        self._arrivals = Arrivals()
        self._took_s: deque[float] = deque(maxlen=LOOKS)
        self._marks: deque[tuple[float, int]] = deque(maxlen=MARKS)  # time and newest number
        self.looks, self.fetched = 0, 0
        self._newest = -1
        self._expected, self._overrated = 0, False  # the newest number, and whether it was less: the camera pauses

    @property
    def period_s(self) -> float:
        """Time between two images, 0 while unknown."""
        return self._arrivals.period_s

    @property
    def wasted(self) -> float:
        """Looks beyond those that are allowed for the images that they brought."""
        return self.looks + 1 - MAX_LOOKS_PER_FRAME * (self.fetched + 1) - SPARE_LOOKS

    def took(self, sent_s: float, answered_s: float) -> None:
        """Record the duration of a call, with all queries that belong to it."""
        self._took_s.append(answered_s - sent_s)

    def found(self, number: int, camera_ms: float | None, newest: int, sent_s: float, *, grew: bool) -> None:
        """Learn from an image when images come.

        Args:
            number: of the image.
            camera_ms: the camera's clock; None where it has none.
            newest: number of the newest image at that time.
            sent_s: time at which the call was sent.
            grew: the newest one was not known before.
        """
        self._overrated = newest < self._expected or (self._overrated and not grew)
        self.newest_was(newest, sent_s)
        if camera_ms is not None:
            self._arrivals.stamped(number, camera_ms)

    def numbers_began_again(self) -> None:
        """Forget when images came: their numbers may have begun again."""
        self._arrivals, self._newest = Arrivals(self._arrivals.period_s), -1
        self._marks.clear()

    def newest_was(self, number: int, sent_s: float) -> None:
        """Learn that a call sent at this time found this number to be the newest."""
        if number > self._newest:
            if number < self._arrivals.bounds(sent_s, self._newest)[0] - MAX_LATE:
                self._arrivals = Arrivals(self._arrivals.period_s)
            self._newest = number
        self._arrivals.newest_was(number, sent_s)
        if not self._marks or sent_s - self._marks[-1][0] >= MARK_S:
            self._marks.append((sent_s, number))

    def distance(self, newest: int, newest_s: float, at_s: float) -> int | None:
        """Choose the distance of the next image to fetch.

        Args:
            newest: highest number that is known.
            newest_s: time at which it came.
            at_s: time at which the call is sent.

        Returns:
            The distance from the newest image; None where it is better to wait a moment, or for a new image.
        """
        low, high = (newest, newest) if self._overrated else self._arrivals.bounds(at_s, newest)
        self._expected = low
        self._limit_backlog(low, newest)
        wasted = self.wasted
        waited_s = max((low - self._order.next_missing) * self.period_s, at_s - newest_s)
        # Where too many looks were wasted, the camera is less steady than its bounds say: they are widened for a while.
        margin = min(1 + int(wasted / WASTED_LOOKS), MAX_MARGIN) if wasted > 0 else 0
        surest = max(newest, low - margin)
        target = self._certain(surest, high + margin - surest)
        if target is not None:
            return surest - target
        may_waste = 0 < margin <= MAX_MARGIN_OF_HOLE and waited_s > HOLE_S / 2
        if may_waste and (target := self._certain(low, high - low)) is not None:
            return low - target
        missing = self._order.next_missing
        if missing > newest:
            return None
        if wasted > 0 and newest not in self._order.kept:  # it or a newer one is found, and both are missing
            return 0
        if wasted <= 0:
            return max(0, (low + high) // 2 - missing)
        if waited_s > HOLE_S:
            self._order.give_up(missing + 1, LossCause.NOT_FETCHED)
        return None

    def arrived_meanwhile(self, within_s: float) -> int:
        """Bound how many images come between a look and a count."""
        if not (self.period_s and self._took_s):
            return 2
        return 2 + int(2 * max(median(self._took_s), self._took_s[-1], within_s) / self.period_s)

    def _limit_backlog(self, low: int, newest: int) -> None:
        """Give up the oldest images if the camera is too fast to catch up."""
        if not self._is_busy():
            return
        limit = max(MIN_BACKLOG, int(BUSY_BACKLOG_S / self.period_s))
        if low - self._order.passed > limit:
            self._order.give_up(min(low - limit, newest) + 1, LossCause.NOT_FETCHED)

    def _certain(self, low: int, open_: int) -> int | None:
        """Find the oldest missing image that is safe to request.

        Whichever image is found in its place is missing, too.
        """
        run, first = 0, self._order.next_missing
        if self._is_busy():  # an image that is given up next is not worth a call that may come too late
            first = min(first + open_ + 1, max(first, low))
        for number in range(first, low + 1):
            run = 0 if number in self._order.kept else run + 1
            if run > open_:
                return number - open_
        return None

    def _is_busy(self) -> bool:
        """Return True if calls take too long to catch up, now and for some time."""
        if len(self._took_s) < MIN_LOOKS or not (self.period_s and self._marks):
            return False
        (first_s, first), (last_s, last) = self._marks[0], self._marks[-1]
        slowest_s = median(self._took_s) / BUSY  # time between two images of a camera that is too fast
        return self.period_s < slowest_s and MIN_MARKED_S <= last_s - first_s < slowest_s * (last - first)
