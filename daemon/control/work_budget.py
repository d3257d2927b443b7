"""Budget of the control thread's work, whoever asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable


class WorkBudget:
    """Token bucket in units of work; one large piece may be done in advance.

    Args:
        rate_hz: units that are added a second.
        burst: units that can be saved up.
        clock: monotonic seconds.
    """

    def __init__(self, rate_hz: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_hz, self._burst, self._clock = rate_hz, burst, clock
        self._units, self._at_s = burst, clock()

    def spend(self, units: float) -> bool:
        """Spend units, or return False if there are too few.

        A piece of more than a whole burst is done where the burst is whole, and nothing else until it is paid off.
        """
        now = self._clock()
        self._units = min(self._burst, self._units + (now - self._at_s) * self._rate_hz)
        self._at_s = now
        if self._units < min(units, self._burst):
            return False
        self._units -= units
        return True
