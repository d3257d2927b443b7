"""Frames that were lost inside the camera, found by its clock.

Their numbers go on as if nothing had happened.

A frame's time stamp may come late, because the computer was busy, but never early: the earliest of a few stamps, each
less what the frames before it should have taken, says where the camera's clock stands. Where it has moved on by whole
frame times between the frames before and behind a long pause, and the camera is as fast as before, so many were lost.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import fmean, median

SIDE = 8  # frames before a pause, and behind it
MIN_STEADY = 5  # frame times of a side that must agree
MIN_PAUSE = 1.6  # frame times of a pause in which frames may be lost
MAX_DEVIATION = 0.2  # of a steady frame time from the median, as a share
MIN_LOST = 0.7  # frame times that the clock has moved on
MIN_TICKS = 8  # of a clock in whole ms, in a frame time
SIMULATED = {"DemoCamera"}  # device libraries that compute their images: one that comes late was not lost


class CameraClock:
    """Watches the times of one sequence of frames.

    Frames whose numbers were skipped are not counted: they were lost elsewhere.

    Args:
        library: Device library of the camera; nothing can be lost inside a simulated one.
    """

    def __init__(self, library: str = "") -> None:
        self._simulated = library in SIMULATED
        self._times: deque[tuple[int, float]] = deque(maxlen=2 * SIDE)

    def passed(self, number: int, camera_ms: float | None) -> int:
        """Add a frame, and estimate the frames lost inside the camera.

        Args:
            number: of the frame.
            camera_ms: the camera's clock; None where it has none.

        Returns:
            Estimated number of frames lost `SIDE` frames ago.
        """
        if camera_ms is None or self._simulated:
            return 0
        self._times.append((number, camera_ms))
        if len(self._times) < 2 * SIDE:
            return 0
        times = list(self._times)
        before, behind = times[:SIDE], times[SIDE:]
        period_ms, later_ms = _period_ms(before), _period_ms(behind)
        # The core counts whole ms for a camera without a clock: too coarse for short frame times.
        if period_ms < MIN_TICKS and all(ms.is_integer() for _, ms in times):
            return 0
        pause_ms = (behind[0][1] - before[-1][1]) / (behind[0][0] - before[-1][0])
        if not period_ms or pause_ms < MIN_PAUSE * period_ms or abs(later_ms - period_ms) > MAX_DEVIATION * period_ms:
            return 0
        period_ms = (period_ms + later_ms) / 2
        frames = (_stand_ms(behind, period_ms) - _stand_ms(before, period_ms)) / period_ms
        return round(frames) if frames > MIN_LOST else 0


def _period_ms(times: list[tuple[int, float]]) -> float:
    """Measure the frame time in ms; 0 where frames came unsteadily."""
    times_ms = [(later_ms - ms) / (after - number) for (number, ms), (after, later_ms) in pairwise(times)]
    middle_ms = median(times_ms)
    steady = [time_ms for time_ms in times_ms if abs(time_ms - middle_ms) <= MAX_DEVIATION * middle_ms]
    return fmean(steady) if len(steady) >= MIN_STEADY else 0.0


def _stand_ms(times: list[tuple[int, float]], period_ms: float) -> float:
    return min(ms - number * period_ms for number, ms in times)
