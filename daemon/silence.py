"""Silence of other processes, without the time that this one lacked."""

from __future__ import annotations

import time

MAX_STEP_S = 0.5  # between two questions; what is more, this process stood still itself


class Silence:
    """Duration of a silence; it is asked for several times a second.

    While a busy machine gives this process no time, it hears nothing, whoever speaks: that counts for no silence.
    """

    def __init__(self) -> None:
        self._asked_s = time.monotonic()
        self._heard_s = self._lost_s = 0.0

    def lasts_s(self, heard_s: float) -> float:
        """Return the seconds in which something could have been heard.

        Args:
            heard_s: monotonic time at which something was heard last.
        """
        now_s = time.monotonic()
        late_s, self._asked_s = now_s - self._asked_s - MAX_STEP_S, now_s
        if heard_s != self._heard_s:
            self._heard_s, self._lost_s = heard_s, 0.0
        silence_s = max(0.0, now_s - heard_s)
        self._lost_s += min(max(0.0, late_s), silence_s)
        return max(0.0, silence_s - self._lost_s)
