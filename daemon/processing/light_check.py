"""Events of unusable light: saturated, out of focus, not blinking."""

from __future__ import annotations

from daemon.health import Health
from daemon.processing.sinks import Sink, WindowOutput
from selfstorm.metrics.registry import METRICS
from selfstorm.metrics.verdict import NOT_BLINKING, OUT_OF_FOCUS, verdict


class LightCheck(Sink):
    """Reports saturated pixels, a lost focus and a pattern when they begin.

    Args:
        health: takes the events.
    """

    def __init__(self, health: Health) -> None:
        self._health = health
        self._reported: set[str] = set()

    def result(self, output: WindowOutput) -> None:
        """Judge the light of a picture, and report what is new."""
        metrics = output.made.result.metrics
        judged = verdict(metrics)
        word = "" if judged is None else judged.value
        share = metrics.get("saturated")
        clipped = None if share is None else METRICS["saturated"].finding(share)
        for code, finding in (
            ("out_of_focus", judged if word == OUT_OF_FOCUS else None),
            ("not_blinking", judged if word == NOT_BLINKING else None),
            ("saturated", clipped),
        ):
            if finding is None or not finding.serious:
                self._reported.discard(code)
            elif code not in self._reported:
                self._reported.add(code)
                self._health.event("warning", code, finding.explanation)
