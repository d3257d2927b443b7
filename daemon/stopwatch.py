"""Durations of the steps of a window.

Their percentiles are taken over the last windows.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from daemon.protocol.messages import StageLatency

KEPT_WINDOWS = 512


class Clock(Protocol):
    """Clock of whatever works: moments, and the seconds between them.

    A moment may be one that a device has not reached yet.
    """

    def now(self) -> Any:
        """Return the moment at which all work so far is done."""
        ...

    def seconds(self, earlier: Any, later: Any) -> float:
        """Return the seconds between two moments; may wait for the later one."""
        ...


class HostClock:
    """Clock of this process."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def seconds(self, earlier: float, later: float) -> float:
        """Return the seconds between two moments."""
        return later - earlier


class Stopwatch:
    """Seconds by step of a window.

    Marking a step waits for nothing; reading the seconds waits until the device has done them.

    Args:
        clock: of the device that works.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or HostClock()
        self._last = self._clock.now()
        self._unread: list[tuple[str, Any]] = []
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def mark(self, step: str) -> None:
        """Add the time since the last mark to this step."""
        self._unread.append((step, self._clock.now()))

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by step, so far."""
        for step, moment in self._unread:
            self._seconds[step] += self._clock.seconds(self._last, moment)
            self._last = moment
        self._unread = []
        return self._seconds

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
