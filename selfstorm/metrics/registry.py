"""Metric registry: each metric declared once, with its sentences.

The engine, the wire, the indicators and plots, the terminal, Prometheus, saved files and the command line iterate over
METRICS. To add a metric, write a function of a `PictureEvidence` or a `Delivery` and one entry below.

A viewer imports this file without torch. Functions are therefore given as 'module:name' and imported when called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from selfstorm.metrics.finding import SEVERITY, Finding, Level

Measure = Callable[[Any], float | None]
Subject = Literal["picture", "delivery"]
MAX_METRICS = 32
VALUE = "{value}"  # in a sentence, stands for the value

MetricKey = Annotated[str, Field(pattern=r"\A[a-z][a-z0-9_]{0,63}\z")]
Sentence = Annotated[str, Field(max_length=512)]
M = TypeVar("M", bound="MetricDescription")


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
        if reduced_to and self.of == "picture":
            hint = f"Quality was reduced to '{reduced_to}', which may explain it; judge a picture of full quality."
            return Finding(self.label, text, "warning", why, hint)
        return Finding(self.label, text, level, why, self.hint)


class Metric(MetricDescription):
    """A metric with the function that measures it.

    Args:
        measure: The function, or 'module:name'. It is given a `PictureEvidence` or, of a delivery, a `Delivery`, and
            returns None where it cannot tell.
    """

    measure: Measure | str


class MetricTable(Generic[M]):
    """Metrics by key, in the order in which they are shown."""

    def __init__(self, metrics: Iterable[M]) -> None:
        self._metrics = {metric.key: metric for metric in metrics}

    def __iter__(self) -> Iterator[M]:
        return iter(tuple(self._metrics.values()))

    def __len__(self) -> int:
        return len(self._metrics)

    def __getitem__(self, key: str) -> M:
        return self._metrics[key]

    def known(self, values: Mapping[str, float]) -> Iterator[tuple[M, float]]:
        """Pair each metric that has a value with it."""
        return ((metric, values[metric.key]) for metric in self if metric.key in values)

    def cautions(self, values: Mapping[str, float], estimate: str = "", reduced_to: str = "") -> tuple[str, ...]:
        """Explain each value beyond a threshold; arguments as of `finding`."""
        found = (metric.finding(value, estimate, reduced_to=reduced_to) for metric, value in self.known(values))
        return tuple(finding.explanation for finding in found if finding.serious)

    def line(self, values: Mapping[str, float]) -> str:
        """Write all values on one line: 'misfit 1.2 %, agreement 0.987'."""
        return ", ".join(f"{_in_a_sentence(metric.label)} {metric.text(value)}" for metric, value in self.known(values))


class MetricRegistry(MetricTable[Metric]):
    """Metrics that can be measured here."""

    def add(self, metric: Metric) -> None:
        """Add a metric, or replace the one with its key."""
        self._metrics[metric.key] = metric

    def remove(self, key: str) -> None:
        """Remove a metric."""
        del self._metrics[key]

    def measure(self, of: Subject, evidence: object, *, costly: bool = True) -> dict[str, float]:
        """Measure all metrics of a subject.

        Args:
            of: "picture" for a `PictureEvidence`, "delivery" for a `Delivery`.
            evidence: What the functions are given.
            costly: Also those that take time.

        Returns:
            The values by key, less those that cannot be measured here or are not finite.
        """
        chosen = (metric for metric in self if metric.of == of and (costly or not metric.costly))
        values = {metric.key: _function(metric)(evidence) for metric in chosen}
        return {key: float(value) for key, value in values.items() if value is not None and math.isfinite(value)}


def _in_a_sentence(label: str) -> str:
    """Write a label in lower case, less its acronyms."""
    return " ".join(word if word.isupper() else word.lower() for word in label.split())


def duration_text(milliseconds: float) -> str:
    """Write a duration: '83 ms', '2.9 s'."""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _function(metric: Metric) -> Measure:
    if not isinstance(metric.measure, str):
        return metric.measure
    module, _, name = metric.measure.partition(":")
    function: Measure = getattr(import_module(module), name)
    return function


_PICTURE = "selfstorm.metrics.picture_metrics:"
_DELIVERY = "selfstorm.metrics.delivery:"

METRICS = MetricRegistry(
    (
        Metric(
            key="latency_ms",
            label="Latency",
            unit="ms",
            better="lower",
            warn=5_000.0,
            bad=15_000.0,
            margin=500.0,
            meaning="Time from a window's last frame to its picture.",
            warning="The picture was published {value} after its last frame.",
            hint="Choose a smaller region or a lower quality, or use a GPU.",
            of="delivery",
            measure=_DELIVERY + "latency_ms",
        ),
        Metric(
            key="missing",
            label="Missing frames",
            unit="%",
            digits=1,
            better="lower",
            warn=0.0,
            bad=0.1,
            meaning="Share of the window's frames that never arrived.",
            warning="{value} of the window's frames never arrived; the picture is made of fewer.",
            hint="Close other programs on both computers, or lower the frame rate.",
            indicator=False,
            of="delivery",
            measure=_DELIVERY + "missing_share",
        ),
        Metric(
            key="misfit",
            label="Misfit",
            unit="%",
            digits=1,
            better="lower",
            warn=0.1,
            bad=0.3,
            margin=0.01,
            meaning="Share of the mean frame's variance that the picture leaves unexplained.",
            warning="The picture leaves {value} of the mean frame unexplained.",
            hint="Check pixel size, optics, camera settings and focus.",
            measure=_PICTURE + "misfit",
        ),
        Metric(
            key="saturated",
            label="Saturated",
            unit="%",
            digits=2,
            better="lower",
            warn=0.0,
            bad=0.02,
            meaning="Share of the pixel values that the camera clipped, which were restored from their neighbours.",
            warning="{value} of the pixel values are saturated and were restored from their neighbours.",
            hint="Lower the laser power, the exposure or the camera's gain.",
            measure=_PICTURE + "saturated",
        ),
        Metric(
            key="below_offset",
            label="Below offset",
            unit="photons",
            digits=1,
            better="lower",
            warn=2.0,
            meaning="By how much the darkest hundredth of the mean frame lies below the camera's offset.",
            warning="The darkest pixels are {value} below the camera's offset, where no light can be.",
            hint="Correct offset_adu: the mean of a dark frame shows it.",
            indicator=False,
            measure=_PICTURE + "below_offset",
        ),
        Metric(
            key="resolution_nm",
            label="Resolution",
            unit="nm",
            digits=0,
            better="lower",
            meaning="Finest detail that two halves of the frames, each reconstructed alone, agree on; do not interpret "
            "finer structures.",
            costly=True,
            measure=_PICTURE + "resolution",
        ),
        Metric(
            key="fidelity",
            label="Fidelity",
            digits=2,
            better="higher",
            meaning="Estimated correlation of the picture with the structure, from two halves of the frames, each "
            "reconstructed alone; 1 is best.",
            costly=True,
            measure=_PICTURE + "fidelity",
        ),
        Metric(
            key="false_share",
            label="False localizations",
            unit="%",
            digits=0,
            better="lower",
            warn=0.15,
            bad=0.4,
            margin=0.02,
            meaning="Share of localizations with no emitter near, estimated in simulated frames with the same noise.",
            warning="About {value} of the localizations are false.",
            hint="Lower the density of emitters or the background, or raise the laser.",
            costly=True,
            measure=_PICTURE + "false_share",
        ),
        Metric(
            key="agreement",
            label="Agreement",
            digits=3,
            better="higher",
            warn=0.9,
            bad=0.7,
            margin=0.02,
            meaning="Correlation of the picture, imaged again through the microscope, with the mean frame; 1 is best.",
            warning="Imaged again through the microscope, the picture agrees with the mean frame by only {value} of 1.",
            hint="Check pixel size, optics and focus; the error map shows where they differ.",
            unjudged=("density",),  # a variance: not linear in light
            costly=True,
            measure=_PICTURE + "agreement",
        ),
        Metric(
            key="crowding",
            label="Crowding",
            digits=1,
            meaning="Factor by which overlap with neighbours inflates the variance of a typical position; 1 if alone.",
            indicator=False,
            measure=_PICTURE + "crowding",
        ),
        Metric(
            key="psf_sigma_nm",
            label="PSF width",
            unit="nm",
            digits=0,
            meaning="Standard deviation of the PSF in use.",
            indicator=False,
            measure=_PICTURE + "psf_sigma_nm",
        ),
        Metric(
            key="psf_limit_nm",
            label="PSF limit",
            unit="nm",
            digits=0,
            meaning="Standard deviation of the widest PSF that light allows in focus, at this pixel size.",
            indicator=False,
            measure=_PICTURE + "psf_limit_nm",
        ),
        Metric(
            key="blinking_nm",
            label="Blinking width",
            unit="nm",
            digits=0,
            meaning="Standard deviation of what blinks, given where none of it is in focus.",
            indicator=False,
            measure=_PICTURE + "blinking_nm",
        ),
        Metric(
            key="motion_nm",
            label="Motion",
            unit="nm",
            digits=0,
            meaning="Distance that the sample moved within the window.",
            indicator=False,
            measure=_PICTURE + "motion_nm",
        ),
        Metric(
            key="motion_left_nm",
            label="Motion left",
            unit="nm",
            digits=0,
            meaning="Motion within the window that the picture does not follow.",
            indicator=False,
            measure=_PICTURE + "motion_left_nm",
        ),
        Metric(
            key="drift_y_nm",
            label="Drift in y",
            unit="nm",
            digits=0,
            meaning="Where the sample is along y, against its first frames.",
            indicator=False,
            measure=_PICTURE + "drift_y_nm",
        ),
        Metric(
            key="drift_x_nm",
            label="Drift in x",
            unit="nm",
            digits=0,
            meaning="Where the sample is along x, against its first frames.",
            indicator=False,
            measure=_PICTURE + "drift_x_nm",
        ),
        Metric(
            key="emitters_per_frame",
            label="Emitters per frame",
            meaning="Localizations per camera frame.",
            indicator=False,
            measure=_PICTURE + "emitters_per_frame",
        ),
        Metric(
            key="photons",
            label="Photons",
            meaning="Photons of a typical localisation.",
            indicator=False,
            measure=_PICTURE + "photons",
        ),
        Metric(
            key="claimed_precision_nm",
            label="Claimed precision",
            unit="nm",
            digits=1,
            meaning="Standard deviation that a typical localisation claims along one axis.",
            indicator=False,
            costly=True,
            measure=_PICTURE + "claimed_precision_nm",
        ),
        Metric(
            key="nena_nm",
            label="Repeated precision",
            unit="nm",
            digits=1,
            meaning="Standard deviation with which emitters are found again in the next frame (NeNA); errors that both "
            "frames share are not in it.",
            indicator=False,
            costly=True,
            measure=_PICTURE + "nena_nm",
        ),
        Metric(
            key="precision_ratio",
            label="Precision",
            unit="times",
            digits=1,
            better="lower",
            warn=1.5,
            bad=3.0,
            margin=0.1,
            meaning="Repeated over claimed precision of the localisations; the claim is too fine where it is above 1.",
            warning="Positions repeat {value} worse than they claim: the claimed precision is too fine.",
            hint="Check the camera's gain and the PSF; let the stage come to rest, or lower the density of emitters.",
            costly=True,
            measure=_PICTURE + "precision_ratio",
        ),
        Metric(
            key="iterations",
            label="Iterations",
            digits=0,
            meaning="Iterations of the density network: the number that held-out frames confirm.",
            indicator=False,
            measure=_PICTURE + "iterations",
        ),
        Metric(
            key="prediction_z",
            label="Prediction",
            unit="SE",
            digits=0,
            better="higher",
            meaning="Standard errors by which two halves of the frames predict each other's blinking; below 5, chance.",
            indicator=False,
            measure=_PICTURE + "prediction_z",
        ),
        Metric(
            key="background",
            label="Background",
            unit="photons",
            meaning="Mean background per camera pixel and frame.",
            indicator=False,
            measure=_PICTURE + "background",
        ),
    )
)
