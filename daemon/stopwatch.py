"""Durations of the steps of a window.

Their percentiles are taken over the last windows.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from daemon.protocol.messages import StageLatency

KEPT_WINDOWS = 512


class Stopwatch:
    """Seconds by step of a window.

    Attributes:
        seconds: so far, by step.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_s = clock()
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def mark(self, step: str) -> None:
        """Add the time since the last mark to this step."""
        now_s = self._clock()
        self.seconds[step] += now_s - self._last_s
        self._last_s = now_s

    @property
    def milliseconds(self) -> dict[str, float]:
        """Milliseconds by step, so far."""
        return {step: round(1000 * seconds, 3) for step, seconds in self.seconds.items()}


class Latencies:
    """Latencies by stage over the last 512 windows."""

    def __init__(self) -> None:
        self._stages: dict[str, deque[float]] = {}

    def add(self, milliseconds: Mapping[str, float]) -> None:
        """Add the latencies of one window.

        Args:
            milliseconds: by stage.
        """
        for stage, value in milliseconds.items():
            self._stages.setdefault(stage, deque(maxlen=KEPT_WINDOWS)).append(value)

    def summary(self) -> Iterable[StageLatency]:
        """Yield the percentiles of every stage."""
        for stage, values in self._stages.items():
            p50, p95, p99 = (float(p) for p in np.percentile(list(values), (50, 95, 99)))
            yield StageLatency(stage=stage, windows=len(values), p50_ms=p50, p95_ms=p95, p99_ms=p99)
