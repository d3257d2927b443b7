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

from daemon.sources.frame_time import frame_time_s

CALLS = 32
STAMPS = 256
OUTLIERS = 2  # calls on either side that took unusually long, or short
# Images and seconds that show that a camera's clock is none, and the share of its time between two images.
MIN_IMAGES, MIN_SPAN_S, MIN_SHARE = 16, 0.3, 0.7


class Arrivals:
    """Bounds on the newest number, for one sequence.

    Args:
        usual_s: time between two images until it is measured, 0 while unknown.
    """

    def __init__(self, usual_s: float = 0.0) -> None:
        self._usual_s = usual_s
        self._calls: deque[tuple[float, int]] = deque(maxlen=CALLS)
        self._stamps: deque[tuple[int, float]] = deque(maxlen=STAMPS)
        self._period_s: float | None = None  # until the next call or stamp

    def newest_was(self, number: int, sent_s: float) -> None:
        """Learn that a call sent at this time found this number to be the newest."""
        self._calls.append((sent_s, number))
        self._period_s = None

    def stamped(self, number: int, camera_ms: float) -> None:
        """Learn the camera's clock of an image."""
        self._stamps.append((number, camera_ms / 1000))
        self._period_s = None

    @property
    def period_s(self) -> float:
        """Time between two images in seconds; 0 while unknown.

        It is measured by the camera's clock where there is one, unless images come faster than that says.
        """
        if self._period_s is None:
            self._period_s = self._measured_s() or self._usual_s
        return self._period_s

    def _measured_s(self) -> float:
        calls = [(number, sent_s) for sent_s, number in self._calls]
        stamps_s, calls_s = frame_time_s(self._stamps), frame_time_s(calls)
        if not (stamps_s and calls):
            return calls_s
        (first, first_s), (last, last_s) = calls[0], calls[-1]
        enough = last - first >= MIN_IMAGES and last_s - first_s >= MIN_SPAN_S
        return calls_s if enough and 0 < calls_s < MIN_SHARE * stamps_s else stamps_s

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
