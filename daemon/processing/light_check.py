"""Events of unusable light: saturated, out of focus, not blinking."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.health import Health
from daemon.processing.sinks import Sink, WindowOutput
from selfstorm.metrics.finding import Finding
from selfstorm.metrics.registry import METRICS
from selfstorm.metrics.verdict import NOT_BLINKING, OUT_OF_FOCUS, verdict

GOOD = Finding("Light", "", "good")


class LightCheck(Sink):
    """Reports saturated pixels, a focus that moves or is lost, and a pattern.

    Each is reported when it begins.

    Args:
        health: takes the events.
    """

    def __init__(self, health: Health) -> None:
        self._health = health
        self._before: dict[str, Finding] = {}

    def result(self, output: WindowOutput) -> None:
        """Judge the light of a picture, and report what is new."""
        metrics = output.made.result.metrics
        judged = verdict(metrics)
        word = "" if judged is None else judged.value
        lost, pattern = (judged if judged and word == one else GOOD for one in (OUT_OF_FOCUS, NOT_BLINKING))
        if self._begins("lost", lost):
            self._health.event("warning", "out_of_focus", lost.explanation)
        if self._begins("pattern", pattern):
            self._health.event("warning", "not_blinking", pattern.explanation)
        moved, clipped = self._finding("defocus", metrics), self._finding("saturated", metrics)
        if self._begins("defocus", moved):
            self._health.event("warning", "focus_moved", moved.explanation)
        if self._begins("saturated", clipped):
            self._health.event("warning", "saturated", clipped.explanation)

    def _finding(self, key: str, metrics: Mapping[str, float]) -> Finding:
        """Judge a metric; the finding before where a picture does not have it."""
        before = self._before.get(key, GOOD)
        return METRICS[key].finding(metrics[key], before=before.level) if key in metrics else before

    def _begins(self, subject: str, finding: Finding) -> bool:
        """Return whether a finding is serious that was not before."""
        before, self._before[subject] = self._before.get(subject, GOOD), finding
        return finding.serious and not before.serious
