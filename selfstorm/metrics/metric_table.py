"""Tables of metrics by key, for readers and for who measures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

from selfstorm.metrics.metric import Measure, Metric, MetricDescription, Subject

MAX_METRICS = 32
M = TypeVar("M", bound=MetricDescription)


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
        values = {one.key: _function(one.measure)(evidence) for one in chosen if one.measure is not None}
        return {key: float(value) for key, value in values.items() if value is not None and math.isfinite(value)}


def _in_a_sentence(label: str) -> str:
    """Write a label in lower case, less its acronyms."""
    return " ".join(word if word.isupper() else word.lower() for word in label.split())


def _function(measure: Measure | str) -> Measure:
    if not isinstance(measure, str):
        return measure
    module, _, name = measure.partition(":")
    function: Measure = getattr(import_module(module), name)
    return function
