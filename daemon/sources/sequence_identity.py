"""Recognition of images that belong to another sequence.

The numbers of another sequence may have grown past the known ones while nothing was asked: live mode was restarted in
a pause, or a script emptied the buffer (MMCore 12.5 numbers from 0 again then, and the camera's clock goes on). Four
signs tell:

    the newest number went back
    the camera's clock began again
    numbers and time disagree, so one image is fetched again: its number is known, and it was taken at another time
    the buffer was made for images of another size
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from daemon.sources.frame_time import frame_time_s

RESTART_MIN_S, RESTART_SHARE = 0.2, 0.9
UNWATCHED_S = 0.5
MIN_DISAGREEMENT, WALK = 2, 1.2  # images by which numbers and time of a camera that is unsteady may differ
MIN_STEPS, SIGMAS = 8, 5  # of a camera's steps, to bound them by their standard deviation
MIN_SPAN, STAMPS = 4, 128  # images between those that the time between two is measured by, and their number
MAX_UNSTEADINESS = 1.5  # of the time between two images, as a ratio
STEADY_SPAN = 32  # until that time is good for many images


class ImageTimes(NamedTuple):
    """Number and times of an image.

    Attributes:
        number: of the image.
        camera_ms: the camera's clock; None where it has none.
        received_s: time at which the core received it, by our clock; None where that is not known.
        core_s: the same by the core's own clock, which stays the same for the same image.
    """

    number: int
    camera_ms: float | None
    received_s: float | None = None
    core_s: float | None = None

    @property
    def taken_s(self) -> float | None:
        """Time of the image, which is the same when it is fetched again."""
        if self.core_s is not None:
            return self.core_s
        return None if self.camera_ms is None else self.camera_ms / 1000


class SeenImage(NamedTuple):
    """An image that was seen, and not kept.

    Attributes:
        stamp: its number and times.
        distance: at which it was found.
        sent_s: time at which the call was sent.
    """

    stamp: ImageTimes
    distance: int
    sent_s: float


class CameraClockReading(NamedTuple):
    """Reading of the camera's clock.

    Attributes:
        newest: number of the newest image then.
        ran_s: time that the clock showed.
        began_s: time at which the clock began, by ours.
    """

    newest: int
    ran_s: float
    began_s: float


class SequenceIdentity:
    """Identity of one sequence.

    Attributes:
        first_clock: the camera's clock when it was first known; None while unknown.
        in_doubt: the images must not be used until one of a known number was fetched again.
    """

    def __init__(self) -> None:
        self.first_clock: CameraClockReading | None = None
        self.in_doubt = False
        self._clock_began_s: float | None = None  # by our clock
        self._ran_s = 0.0  # of the camera's clock
        self._heard_s = 0.0  # when the buffer answered last
        self.unwatched = False  # for so long that another sequence may have begun
        self._times: deque[tuple[int, float]] = deque(maxlen=STAMPS)  # (number, time) of images
        self._frame_time: tuple[int, float] | None = None  # images spanned, time between two; until these change
        self._known_is_gone = False
        self._compares = True  # the next image with the last one
        self._renumbered = False  # and the frames before number 0 are counted

    @property
    def known_number(self) -> int:
        """Number of an image whose time is known, 0 while there is none."""
        return self._times[-1][0] if self._times else 0

    @property
    def period_s(self) -> float:
        """Time between two images by their own times; 0 while unknown."""
        return self._measured(MIN_SPAN)

    def best_period_s(self, usual_s: float) -> float:
        """Return the time between two images, for many of them.

        Args:
            usual_s: time of the sequence before, for an unsteady camera of which few images are known.
        """
        period_s = self.period_s
        similar = not period_s or 1 / MAX_UNSTEADINESS < usual_s / period_s < MAX_UNSTEADINESS
        return usual_s if similar and not self._measured(STEADY_SPAN) else period_s

    def before_numbers(self, *, steady: bool) -> int | None:
        """Estimate the frames that the camera took before number 0.

        They are those since its clock began, as it was first known: later, the camera may have paused.

        Args:
            steady: wait until the time between two images is known well.

        Returns:
            Number of frames; None while that time is not known.
        """
        if self._renumbered:
            return 0
        if self.first_clock is None or not (period_s := self._measured(STEADY_SPAN if steady else MIN_SPAN)):
            return None
        newest, ran_s, _ = self.first_clock
        before = ran_s / period_s - newest - 1
        return round(before) if before > max_disagreement(newest) else 0

    def _measured(self, min_span: int) -> float:
        if self._frame_time is None:
            numbers = [number for number, _ in self._times] or [0]
            self._frame_time = max(numbers) - min(numbers), frame_time_s(self._times)
        span, time_s = self._frame_time
        return time_s if span >= min_span else 0.0

    def heard(self, sent_s: float, answered_s: float) -> None:
        """Learn that the buffer has answered a call.

        The answer may be as old as the call.
        """
        if self._heard_s and answered_s - self._heard_s > UNWATCHED_S:
            self.unwatched = True
        self._heard_s = sent_s

    def clock(self, stamp: ImageTimes, distance: int, sent_s: float, period_s: float) -> tuple[float, float | None]:
        """Read the camera's clock at the newest image.

        Returns:
            The time that it shows, and when it began, by our clock; None where that cannot be known.
        """
        if stamp.camera_ms is None or (distance and not period_s):
            return 0.0, None
        ran_s = stamp.camera_ms / 1000 + distance * period_s
        began_s = sent_s - ran_s if stamp.received_s is None else stamp.received_s - stamp.camera_ms / 1000
        return ran_s, began_s

    def clock_began_again(self, began_s: float | None) -> bool:
        """Return True if the camera's clock began again while nothing was seen."""
        if began_s is None or self._clock_began_s is None or not self.unwatched:
            return False
        return began_s - self._clock_began_s > max(RESTART_MIN_S, RESTART_SHARE * self._ran_s)

    def disagrees(self, stamp: ImageTimes) -> bool:
        """Return True if an image's number and time do not fit the last one's."""
        if not (self.period_s and self._compares) or stamp.taken_s is None:
            return False
        return abs(self._ahead(stamp)) > max_disagreement(stamp.number - self._times[-1][0])

    def must_verify(self, stamp: ImageTimes) -> bool:
        """Return True if one of a known number must be fetched again first."""
        return (self.unwatched and not self._known_is_gone) or self.disagrees(stamp)

    def includes(self, stamp: ImageTimes) -> bool | None:
        """Return True if an image is one of this sequence.

        False if it is not, and None where nothing shows it.
        """
        if not self._times or stamp.taken_s is None:
            return None
        taken_s = dict(self._times).get(stamp.number)
        if taken_s is not None:
            return taken_s == stamp.taken_s
        return abs(self._ahead(stamp)) <= self._uncertainty(stamp) if self.period_s else None

    def knows(self, number: int) -> bool:
        """Return True if the time of the image with this number is known."""
        return any(number == known for known, _ in self._times)

    def passed(self, stamp: ImageTimes) -> None:
        """Learn that an image belongs to this sequence."""
        self.unwatched = self.in_doubt = False
        if stamp.taken_s is not None:
            self._times.append((stamp.number, stamp.taken_s))
            self._frame_time, self._compares = None, True

    def clock_ran(self, reading: CameraClockReading, *, late: bool) -> float:
        """Learn the camera's clock.

        Args:
            reading: of the clock.
            late: that was taken from a call, which may have taken long to get there.

        Returns:
            The time of the newest image.
        """
        self.first_clock = self.first_clock or reading
        _, ran_s, began_s = reading
        if late and self._clock_began_s is not None:
            began_s = max(began_s, self._clock_began_s)
        self._ran_s, self._clock_began_s = ran_s, began_s
        return began_s + ran_s

    def settle(self, *, known_is_gone: bool = False) -> None:
        """Accept the images, as far as they can be known.

        The next one is compared with none before it: the camera paused.

        Args:
            known_is_gone: from the buffer; its numbers may have begun again.
        """
        self.in_doubt = self._compares = False
        self.unwatched = self._known_is_gone = known_is_gone

    def skipped(self, stamp: ImageTimes) -> int | None:
        """Estimate the frames of a pause that no number shows.

        No known image was left after it. The buffer was emptied, and its numbers began again: the camera's clock ran
        on while they did not.

        Returns:
            Number of frames; None where there was no such pause.
        """
        gone, self._known_is_gone = self._known_is_gone, False
        if not (gone and self._times and self.period_s) or stamp.taken_s is None:
            return None
        ahead = self._ahead(stamp)
        skipped = round(ahead) if ahead > self._uncertainty(stamp) else 0
        self._renumbered |= skipped > 0
        self._times.clear()  # numbers and times may not go on in step
        self._frame_time = None
        return skipped

    def _ahead(self, stamp: ImageTimes) -> float:
        """Return the frames by which time is ahead of number, since the last."""
        number, taken_s = self._times[-1]
        return ((stamp.taken_s or 0.0) - taken_s) / self.period_s - (stamp.number - number)

    def _uncertainty(self, stamp: ImageTimes) -> float:
        """Bound those of a camera that is as unsteady as its known images.

        The time between two images may have been measured over few of them.
        """
        times = sorted(self._times)
        (first, _), (last, _) = times[0], times[-1]
        images, walk = abs(stamp.number - self._times[-1][0]), _walk(times, self.period_s)
        return MIN_DISAGREEMENT + walk * (math.sqrt(images) + images / math.sqrt(last - first))


def _walk(times: list[tuple[int, float]], period_s: float) -> float:
    """Bound the step of a camera, in frame times.

    Args:
        times: number and time of images, in order.
        period_s: time between two images.
    """
    steps = [
        ((later_s - time_s) / period_s - (later - number)) ** 2 / (later - number)
        for (number, time_s), (later, later_s) in pairwise(times)
        if later > number
    ]
    return min(WALK, SIGMAS * math.sqrt(fmean(steps))) if len(steps) >= MIN_STEPS else WALK


def max_disagreement(images: int) -> float:
    """Bound the images by which an unsteady camera is ahead or behind.

    Its steps add up at random.

    Args:
        images: since the last one.
    """
    return MIN_DISAGREEMENT + WALK * math.sqrt(abs(images))
