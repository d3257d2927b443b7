"""Deadline that all waits of a stop share, so that they cannot add up.

Each wait gets what the ones before it have left, up to a time of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

CAMERA_S, RECORDER_S, WINDOW_S, CLOSE_S, FILES_S = 2.0, 3.0, 3.5, 4.0, 4.2  # after the stop
MIN_WAIT_S = 0.1  # what is asked to end may at least answer


class StopDeadline:
    """Seconds that are left of a stop.

    Args:
        clock: seconds that pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._begun_s = clock, clock()

    def left_s(self, until_s: float) -> float:
        """Return the seconds until a time after the stop, at least `MIN_WAIT_S`.

        Args:
            until_s: `CAMERA_S` for the last frames, `RECORDER_S` for the recording, `WINDOW_S` for the last window,
                `CLOSE_S` for the child processes, `FILES_S` for the files that are written.
        """
        return max(MIN_WAIT_S, self._begun_s + until_s - self._clock())

    def passed(self, until_s: float) -> bool:
        """Return True after a time."""
        return self._clock() - self._begun_s > until_s
