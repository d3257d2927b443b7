"""Frames that were lost inside the camera, told by its clock: their numbers go on as if nothing had happened.

A frame's time stamp may come late, because the computer was busy, but never early: the earliest of a few stamps, each
less what the frames before it should have taken, says where the camera's clock stands. Where it has moved on by whole
frame times between the frames before and behind a long pause, and the camera is as fast as before, so many were lost.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import fmean, median

SIDE, STEADY = 8, 5
LONG, SAME, WHOLE = 1.6, 0.2, 0.7


class CameraClock:
    """Looks at one sequence of frames; numbers that were skipped are known to be lost elsewhere."""

    def __init__(self) -> None:
        self._times: deque[tuple[int, float]] = deque(maxlen=2 * SIDE)

    def passed(self, number: int, camera_ms: float | None) -> int:
        """The next frame. How many were lost in the camera `SIDE` frames ago: an estimate, told with that delay."""
        if camera_ms is None:
            return 0
        self._times.append((number, camera_ms))
        if len(self._times) < 2 * SIDE:
            return 0
        times = list(self._times)
        before, behind = times[:SIDE], times[SIDE:]
        period_ms, later_ms = _period_ms(before), _period_ms(behind)
        pause_ms = (behind[0][1] - before[-1][1]) / (behind[0][0] - before[-1][0])
        if not period_ms or pause_ms < LONG * period_ms or abs(later_ms - period_ms) > SAME * period_ms:
            return 0
        period_ms = (period_ms + later_ms) / 2
        frames = (_stand_ms(behind, period_ms) - _stand_ms(before, period_ms)) / period_ms
        return round(frames) if frames > WHOLE else 0


def _period_ms(times: list[tuple[int, float]]) -> float:
    """Frame time of these frames, 0 where they did not come steadily."""
    times_ms = [(later_ms - ms) / (after - number) for (number, ms), (after, later_ms) in pairwise(times)]
    middle_ms = median(times_ms)
    steady = [time_ms for time_ms in times_ms if abs(time_ms - middle_ms) <= SAME * middle_ms]
    return fmean(steady) if len(steady) >= STEADY else 0.0


def _stand_ms(times: list[tuple[int, float]], period_ms: float) -> float:
    return min(ms - number * period_ms for number, ms in times)
