"""Drift of the stage as localisations come, in y and x.

New localisations are set against a sample of all earlier ones, each moved back by the drift found for it. The sample is
of the whole recording, so the curve does not walk away at random, and it is bounded, so a stride costs the same after
a minute and after an hour. A stride is looked for where the drift so far leads, and the newest part of the curve is
smoothed anew with it (`selfstorm.stream.drift_smoothing`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from selfstorm.compute.neighbours import tree_of
from selfstorm.stream.drift import DriftCurve, DriftMeasurements, measure_drift
from selfstorm.stream.drift_pairs import SHIFT_RADIUS_NM, shift_between

Floats = NDArray[np.float64]

MAX_REFERENCE = 10_000  # localisations that new ones are set against
MIN_REFERENCE = 100
MIN_SEGMENT = 60  # localisations
MAX_SEGMENTS_AT_ONCE = 6
FULL_WEIGHT = 100  # localisations; the shift of fewer counts in proportion
MAX_TOGETHER = 250  # that are set against the others: more add precision that nothing needs
MAX_PAIRS = 100_000
MAX_RECENT = 64  # measurements that the curve is smoothed anew from
MAX_KNOTS = 4_096  # of the curve; beyond them, its older half keeps every second
RADIUS_NM, SEGMENT_RADIUS_NM = 100.0, 80.0
SEGMENT_STEPS = 4
NEW_STREAM_RADIUS_NM = 2 * SHIFT_RADIUS_NM  # the sample may have moved while no frames came


def _no_points() -> Floats:
    return np.zeros((0, 2))


def _no_measurements() -> DriftMeasurements:
    return DriftMeasurements(np.zeros(0), _no_points(), _no_points())


@dataclass(frozen=True, eq=False)
class LiveDrift:
    """A drift curve, and the localisations that continue it.

    Attributes:
        curve: Drift so far, against the first frames.
        reference_nm: (R, 2) localisations, moved back by the drift.
        priority: (R,) the lowest of all localisations so far stay in the sample.
        recent: The newest measurements, without those before the stream was interrupted.
        interrupted: True where frames of another stream come next.
    """

    curve: DriftCurve = field(default_factory=lambda: DriftCurve(np.zeros(0), _no_points()))
    reference_nm: Floats = field(default_factory=_no_points)
    priority: Floats = field(default_factory=lambda: np.zeros(0))
    recent: DriftMeasurements = field(default_factory=_no_measurements)
    interrupted: bool = False

    @property
    def newest_nm(self) -> Floats:
        """Where the sample is, (2,), against the first frames."""
        return self.curve.yx_nm[-1] if len(self.curve.yx_nm) else np.zeros(2)

    def with_localizations(self, frame: Floats, yx_nm: Floats) -> LiveDrift:
        """Find the drift of new frames.

        Args:
            frame: (E,) numbers of their frames, ascending and after those so far.
            yx_nm: (E, 2) positions.
        """
        if not len(frame):
            return self
        if not len(self.curve.frame):
            recent, curve = self._started(frame, yx_nm)
        else:
            recent = self._continued(frame, yx_nm)
            curve = self._with(recent.curve(frame[0], frame[-1]))
        curve = _thinned(curve)
        priority = np.concatenate([self.priority, np.random.default_rng(int(frame[0])).random(len(frame))])
        reference = np.concatenate([self.reference_nm, yx_nm - curve.at(frame)])
        if len(reference) > MAX_REFERENCE:
            kept = np.sort(np.argpartition(priority, MAX_REFERENCE)[:MAX_REFERENCE])
            reference, priority = reference[kept], priority[kept]
        return LiveDrift(curve, reference, priority, _newest(recent, MAX_RECENT))

    def _started(self, frame: Floats, yx_nm: Floats) -> tuple[DriftMeasurements, DriftCurve]:
        """Measure the first localisations, against the first of their frames."""
        measured = measure_drift(frame, yx_nm)
        if measured is None:
            return _no_measurements(), DriftCurve(frame.mean(keepdims=True), np.zeros((1, 2)))
        curve = measured.curve(frame[0], frame[-1])
        start = curve.yx_nm[0]
        return replace(measured, yx_nm=measured.yx_nm - start), DriftCurve(curve.frame, curve.yx_nm - start)

    def _continued(self, frame: Floats, yx_nm: Floats) -> DriftMeasurements:
        """Measure new localisations in segments, after those so far."""
        expected = self._expected(frame)
        at, before = yx_nm - expected, _no_measurements() if self.interrupted else self.recent
        radius = NEW_STREAM_RADIUS_NM if self.interrupted else RADIUS_NM
        reference = self._reference(_some(at), radius)
        offset = min(1.0, len(frame) / FULL_WEIGHT) * shift_between(reference, _some(at), radius)[0]
        middles, drift, variances = [], [], []
        count = max(1, min(len(frame) // MIN_SEGMENT, MAX_SEGMENTS_AT_ONCE))
        edges = np.linspace(frame[0], frame[-1] + 1, count + 1)[1:-1]
        for part in np.split(np.arange(len(frame)), np.searchsorted(frame, edges)):
            if not len(part):
                continue
            shift, variance = shift_between(reference, _some(at[part] - offset), SEGMENT_RADIUS_NM, SEGMENT_STEPS)
            middles.append(frame[part].mean())
            drift.append(expected[part].mean(0) + offset + shift)
            variances.append(variance)
        return _newest(
            DriftMeasurements(
                np.append(before.frame, middles),
                np.concatenate([before.yx_nm, drift]),
                np.concatenate([before.variance_nm2, variances]),
            ),
            MAX_RECENT,
        )

    def _reference(self, at: Floats, radius: float) -> cKDTree:
        """Return earlier localisations, thinned where many are in reach.

        Empty where there are too few of them.
        """
        tree = tree_of(self.reference_nm if len(self.reference_nm) >= MIN_REFERENCE else _no_points())
        pairs = int(tree_of(at).count_neighbors(tree, radius)) if tree.n else 0
        return tree if pairs <= MAX_PAIRS else tree_of(self.reference_nm[:: -(-pairs // MAX_PAIRS)])

    def _expected(self, frame: Floats) -> Floats:
        """Extrapolate the curve at its last velocity, (E, 2) nm."""
        knots, yx_nm = self.curve.frame, self.curve.yx_nm
        ahead = yx_nm[-1:] + np.zeros((len(frame), 1))
        if self.interrupted or not len(self.recent.frame) or len(knots) < 2:
            return ahead
        velocity = (yx_nm[-1] - yx_nm[-2]) / (knots[-1] - knots[-2])
        return np.asarray(ahead + (frame - knots[-1])[:, None] * velocity)

    def _with(self, newest: DriftCurve) -> DriftCurve:
        """Return the curve with its newest part replaced."""
        kept = self.curve.frame < newest.frame[0]
        return DriftCurve(
            np.append(self.curve.frame[kept], newest.frame), np.concatenate([self.curve.yx_nm[kept], newest.yx_nm])
        )


def _newest(measured: DriftMeasurements, count: int) -> DriftMeasurements:
    return DriftMeasurements(measured.frame[-count:], measured.yx_nm[-count:], measured.variance_nm2[-count:])


def _some(points: Floats) -> Floats:
    """Return every so many points, at most 250."""
    return points[:: -(-len(points) // MAX_TOGETHER)]


def _thinned(curve: DriftCurve) -> DriftCurve:
    """Return a curve of bounded length, coarser where it is old."""
    if len(curve.frame) <= MAX_KNOTS:
        return curve
    half = len(curve.frame) // 2
    kept = np.r_[0:half:2, half : len(curve.frame)]
    return DriftCurve(curve.frame[kept], curve.yx_nm[kept])
