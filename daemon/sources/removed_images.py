"""Images that were removed from a buffer, and by what.

A full buffer is emptied at once; another program takes images one by one.
"""

from __future__ import annotations

from daemon.sources.losses import LossCause

UNCERTAIN = 4  # uncertainties that a buffer must hold at least for its overflows to be recognized


class RemovedImages:
    """Follows the oldest image of a buffer.

    Args:
        first: number of the oldest image at the beginning; None while unknown.
        capacity: images that the buffer holds, 0 if unknown.
    """

    def __init__(self, first: int | None, capacity: int) -> None:
        self._oldest, self._capacity = first, capacity
        self._slack, self._cause = 2, LossCause.AT_SOURCE  # of the last count, and why images were gone then

    def counted(self, oldest: int, slack: int, *, steady: bool) -> LossCause | None:
        """Learn the oldest image of the buffer.

        Args:
            oldest: its number, by a count.
            slack: images by which that may be too low.
            steady: the time between two images is known.

        Returns:
            Cause by which the images before it were removed; None where none were.
        """
        removed, slacks = 0 if self._oldest is None else oldest - self._oldest, self._slack + slack
        self._oldest, self._slack = oldest, slack
        if removed <= 0:
            return None
        if removed > slacks:
            self._cause = self._cause_of(removed, slacks) if steady else LossCause.AT_SOURCE
        return self._cause

    def _cause_of(self, removed: int, slack: int) -> LossCause:
        if self._capacity < UNCERTAIN * slack:  # too small to distinguish them, or unknown
            return LossCause.AT_SOURCE
        beyond = removed % self._capacity
        full = removed >= self._capacity - slack and min(beyond, self._capacity - beyond) <= slack
        return LossCause.AT_SOURCE if full else LossCause.TAKEN
