"""One metric: its description, its sentences, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from selfstorm.metrics.finding import SEVERITY, Finding, Level

Measure = Callable[[Any], float | None]
Subject = Literal["picture", "delivery"]
VALUE = "{value}"  # in a sentence, stands for the value

MetricKey = Annotated[str, Field(pattern=r"\A[a-z][a-z0-9_]{0,63}\z")]
Sentence = Annotated[str, Field(max_length=512)]


class MetricDescription(BaseModel):
    """One metric as a reader needs it; it travels over the wire.

    Args:
        key: On the wire, in files and in Prometheus.
        label: For people, such as "Misfit".
        unit: "%" for shares of 1, "ms" for durations, any other text stands behind the value.
        digits: Decimals shown; None for three significant digits.
        better: Which way is better; None where neither is.
        warn, bad: Thresholds beyond which the level is "warning" and "bad"; None where there is none.
        margin: How much better than a threshold a value must be before its level improves.
        meaning: A sentence that says what the value is.
        warning: A sentence for a value beyond a threshold; `{value}` stands for the value.
        hint: A sentence that says what to do then.
        indicator: Shown in the strip of indicators, not in the plots and texts alone.
        of: Of the picture itself, or of its delivery (time and losses).
        costly: Measured only at the processing levels that assess the picture.
        unjudged: Estimates for which the value is shown but not judged.
        explained_by_quality: Whether a reduced quality may be why the value is beyond a threshold; false where the
            camera and the light alone decide.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    key: MetricKey
    label: Annotated[str, Field(min_length=1, max_length=64)]
    unit: Annotated[str, Field(max_length=16)] = ""
    digits: Annotated[int, Field(ge=0, le=6)] | None = None
    better: Literal["higher", "lower"] | None = None
    warn: float | None = None
    bad: float | None = None
    margin: Annotated[float, Field(ge=0)] = 0.0
    meaning: Sentence = ""
    warning: Sentence = ""
    hint: Sentence = ""
    indicator: bool = True
    of: Subject = "picture"
    costly: bool = False
    unjudged: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=16)] = ()
    explained_by_quality: bool = True

    @property
    def title(self) -> str:
        """The label with its unit, for a plot."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def text(self, value: float) -> str:
        """Write a value with its unit: '12.0 %', '47 nm', '2.9 s'."""
        if self.unit == "ms":
            return duration_text(value)
        number = 100 * value if self.unit == "%" else value
        shown = f"{number:.3g}" if self.digits is None else f"{number:.{self.digits}f}"
        return f"{shown} {self.unit}" if self.unit else shown

    def level(self, value: float, before: Level = "none") -> Level:
        """Compare a value with the thresholds.

        Args:
            value: The new value.
            before: The level of the value before it. A level is left for a better one only when the value is better
                than the threshold by `margin`, so that a value near a threshold does not flicker.
        """
        if self._beyond(self.bad, value, before == "bad"):
            return "bad"
        if self._beyond(self.warn, value, SEVERITY[before] >= SEVERITY["warning"]):
            return "warning"
        return "good"

    def _beyond(self, threshold: float | None, value: float, beyond_before: bool) -> bool:
        if threshold is None or self.better is None:
            return False
        sign = 1 if self.better == "lower" else -1
        return sign * (value - threshold) > (-self.margin if beyond_before else 0.0)

    def finding(self, value: float, estimate: str = "", before: Level = "none", reduced_to: str = "") -> Finding:
        """Judge a value, and name a reduced quality where that may be why.

        Args:
            value: Of one picture.
            estimate: Kind of that picture.
            before: Level of the picture before it, for hysteresis.
            reduced_to: Name of the reduced processing level that the picture was computed at; empty at full quality.
        """
        text = self.text(value)
        if estimate in self.unjudged:
            return Finding(self.label, text, "none", f"{self.meaning} Not judged for a picture of kind '{estimate}'.")
        if self.warn is None and self.bad is None:
            return Finding(self.label, text, "none", self.meaning)
        level = self.level(value, before)
        if level == "good":
            return Finding(self.label, text, level, self.meaning)
        why = self.warning.replace(VALUE, text)
        if reduced_to and self.of == "picture" and self.explained_by_quality:
            hint = f"Quality was reduced to '{reduced_to}', which may explain it; judge a picture of full quality."
            return Finding(self.label, text, "warning", why, hint)
        return Finding(self.label, text, level, why, self.hint)


class Metric(MetricDescription):
    """A metric with the function that measures it.

    Args:
        measure: The function, or 'module:name'. It is given a `PictureEvidence` or, of a delivery, a `Delivery`, and
            returns None where it cannot tell. None for a metric that one picture alone does not show: the engine adds
            it, by the pictures before.
    """

    measure: Measure | str | None = None


def duration_text(milliseconds: float) -> str:
    """Write a duration: '83 ms', '2.9 s'."""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
