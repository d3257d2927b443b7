"""Prediction of the newest image's number, from earlier images.

A camera films steadily, so image n comes at phase + n * period. A call that was sent at s and found N to be the newest
says that N had come by then and N + 1 had not:

    phase <= s - N * period < phase + period

but for the time that the call took to get there, which varies. Many calls bound the phase from both sides; what lies
between the bounds is what the varying time leaves open.
"""

from __future__ import annotations

import math
from collections import deque

CALLS = 32
STAMPS = 256
OUTLIERS = 2  # calls on either side that took unusually long, or short


class Arrivals:
    """Bounds on the newest number, for one sequence."""

    def __init__(self) -> None:
        self._calls: deque[tuple[float, int]] = deque(maxlen=CALLS)
        self._stamps: deque[tuple[int, float]] = deque(maxlen=STAMPS)

    def newest_was(self, number: int, sent_s: float) -> None:
        """Learn that a call sent at this time found this number to be the newest."""
        self._calls.append((sent_s, number))

    def stamped(self, number: int, camera_ms: float) -> None:
        """Learn the camera's clock of an image."""
        self._stamps.append((number, camera_ms / 1000))

    @property
    def period_s(self) -> float:
        """Time between two images in seconds; 0 while unknown.

        It is measured by the camera's clock where there is one.
        """
        points: list[tuple[int, float]] = list(self._stamps) or [(number, sent_s) for sent_s, number in self._calls]
        if len(points) < 2:
            return 0.0
        (first, first_s), (last, last_s) = min(points), max(points)
        return max(last_s - first_s, 0.0) / (last - first) if last > first else 0.0

    def bounds(self, at_s: float, known: int) -> tuple[int, int]:
        """Bound the newest number that a call finds.

        Args:
            at_s: time at which the call is sent.
            known: number of an image that has come already.

        Returns:
            (lowest, highest) possible number.
        """
        period_s = self.period_s
        if not period_s or len(self._calls) < 2 * (OUTLIERS + 1):
            return known, known
        # Of each call: phase <= sent - number * period < phase + period. The extreme calls are outliers.
        phases = sorted(sent_s - number * period_s for sent_s, number in self._calls)
        least, most = phases[OUTLIERS], phases[-1 - OUTLIERS] - period_s
        one, other = math.floor((at_s - least) / period_s), math.floor((at_s - most) / period_s)
        low = max(known, min(one, other))
        return low, max(low, one, other)
