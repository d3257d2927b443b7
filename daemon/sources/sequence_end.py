"""End of one sequence, and beginning of the next one.

Nothing shows directly when a sequence ended. The next one began after that, by its camera's clock or by its numbers;
and counts of images that may be either one's show how far its numbers had come.
"""

from __future__ import annotations

import math
from collections import deque

from daemon.sources.sequence_identity import SeenImage, max_disagreement

COUNTS = 8  # in doubt
STILL_PERIODS = 2  # times between two images, after which an unsteady camera that gives none has stopped
SPARE_SHARE = 0.2  # of a full buffer by which the time between two images may mislead


class SequenceEnd:
    """Evidence of how a sequence ended.

    Args:
        capacity: images that the buffer holds, 0 if unknown.

    Attributes:
        next_began_s: time at which the next sequence, or its numbers, began; None while unknown.
        next_images: images of that sequence so far.
        next_before_numbers: frames of that sequence before its number 0, where its numbers began again.
        next_seen: the image of it that showed that it had begun.
        still_s: time of the last call that found no newer image.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.next_began_s: float | None = None
        self.next_images = self.next_before_numbers = 0
        self.next_seen: SeenImage | None = None
        self.still_s = 0.0
        self._in_doubt: deque[tuple[int, float]] = deque(maxlen=COUNTS)  # newest number by a count, and its time

    def another_began(self, seen: SeenImage, began_s: float | None, newest_s: float, period_s: float) -> None:
        """Learn when another sequence began, and how many images it has.

        The camera's clock began with it, unless only the numbers of this one began again: then the time between two
        images shows when image 0 came. The numbers of the other one may have begun again, too.

        Args:
            seen: an image of it.
            began_s: time at which its camera's clock began; None where that is not known.
            newest_s: time of the newest image of this sequence.
            period_s: time between two images, 0 while unknown.
        """
        stamp, distance, sent_s = self.next_seen = seen
        self.next_images, self.next_before_numbers, self.next_began_s = stamp.number + distance + 1, 0, began_s
        if not period_s:
            return
        taken_s = sent_s if stamp.received_s is None else stamp.received_s
        numbers_began_s = max(newest_s, taken_s - (stamp.number + 0.5) * period_s)
        if began_s is None or began_s < newest_s - period_s / 2:
            self.next_began_s = numbers_began_s
        elif numbers_began_s > began_s + max_disagreement(stamp.number) * period_s:
            self.next_before_numbers = round((numbers_began_s - began_s) / period_s)

    def counted(self, newest: int, at_s: float) -> None:
        """Learn the newest number by a count that is in doubt.

        The counted images may be those of the next sequence.

        Args:
            newest: number, if they are of this one.
            at_s: time of the count.
        """
        self._in_doubt.append((newest, at_s))

    def settled(self) -> None:
        """Learn that the images are those of this sequence: no count is in doubt."""
        self._in_doubt.clear()

    def unseen(self, newest: int, newest_s: float, period_s: float, until_s: float) -> int:
        """Estimate the images after the newest known one.

        Args:
            newest: its number.
            newest_s: time at which it came.
            period_s: time between two images.
            until_s: time by which the sequence had ended.
        """
        by_time = max(0, round((until_s - newest_s) / period_s - 0.5))
        for number, at_s in reversed(self._in_doubt):  # unless it was emptied, or held images of the next sequence
            if number >= newest and newest_s <= at_s < (self.next_began_s or math.inf):
                by_count = number - newest + max(0, round((until_s - at_s) / period_s))
                emptied = int((by_time - by_count) / self._capacity + SPARE_SHARE) if self._capacity else 0
                return by_count + max(0, emptied) * self._capacity
        return 0 if self.still_s - newest_s > STILL_PERIODS * period_s else by_time
