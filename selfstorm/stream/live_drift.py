"""Drift of the stage as localizations come, in y and x.

New localizations are set against a sample of all earlier ones, each moved back by the drift found for it. The sample is
of the whole recording, so the curve does not walk away at random, and it is bounded, so a stride costs the same after
a minute and after an hour. A stride is looked for where the drift so far leads, and the newest part of the curve is
smoothed anew with it (`selfstorm.stream.drift_smoothing`).

The first window alone does not tell where the sample was in its first frame. While localizations are few, all of them
are kept and measured anew together, as those of a whole recording are, whenever there are a quarter more.
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

MIN_START, START_GROWTH = 3_000, 1.25  # localizations that the curve is measured anew from, and when
MAX_REFERENCE = 10_000  # localizations that new ones are set against
MIN_REFERENCE = 100
MIN_SEGMENT = 60  # localizations
MAX_SEGMENTS_AT_ONCE = 6
FULL_WEIGHT = 100  # localizations; the shift of fewer counts in proportion
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
class EarlyLocalizations:
    """All localizations so far, while they are few.

    Attributes:
        frame: (E,) numbers of their frames, ascending.
        yx_nm: (E, 2) positions, as they were found.
        measured: Number of those that the curve was last measured from.
    """

    frame: Floats = field(default_factory=lambda: np.zeros(0))
    yx_nm: Floats = field(default_factory=_no_points)
    measured: int = 0

    def joined(self, frame: Floats, yx_nm: Floats) -> EarlyLocalizations:
        """Add those of new frames."""
        return replace(self, frame=np.append(self.frame, frame), yx_nm=np.concatenate([self.yx_nm, yx_nm]))

    def measure_if_due(self) -> DriftMeasurements | None:
        """Measure the drift of all of them, where a quarter more have come.

        None otherwise, and where they are too few.
        """
        due = len(self.frame) >= START_GROWTH * self.measured
        return measure_drift(self.frame, self.yx_nm) if due else None

    def after_measurement(self) -> EarlyLocalizations | None:
        """Return them for the next one; None where their pairs are enough."""
        tree = tree_of(self.yx_nm)
        enough = len(self.frame) >= MIN_START or tree.count_neighbors(tree, SHIFT_RADIUS_NM) >= 2 * MAX_PAIRS
        return None if enough else replace(self, measured=len(self.frame))


@dataclass(frozen=True, eq=False)
class LiveDrift:
    """A drift curve, and the localizations that continue it.

    Attributes:
        curve: Drift so far, from where the first frames were drawn.
        reference_nm: (R, 2) localizations, moved back by the drift.
        priority: (R,) the lowest of all localizations so far stay in the sample.
        recent: The newest measurements, without those before the stream was interrupted.
        interrupted: True where frames of another stream come next.
        early: The localizations that the curve is measured anew from; None where it only goes on.
    """

    curve: DriftCurve = field(default_factory=lambda: DriftCurve(np.zeros(0), _no_points()))
    reference_nm: Floats = field(default_factory=_no_points)
    priority: Floats = field(default_factory=lambda: np.zeros(0))
    recent: DriftMeasurements = field(default_factory=_no_measurements)
    interrupted: bool = False
    early: EarlyLocalizations | None = None

    @property
    def newest_nm(self) -> Floats:
        """Where the sample is, (2,), against the first frame."""
        return self.curve.yx_nm[-1] - self.curve.yx_nm[0] if len(self.curve.yx_nm) else np.zeros(2)

    def for_next_stream(self) -> LiveDrift:
        """Return the drift for another stream, whose frames come next."""
        return replace(self, interrupted=True, early=None)

    def with_localizations(self, frame: Floats, yx_nm: Floats) -> LiveDrift:
        """Find the drift of new frames.

        Args:
            frame: (E,) numbers of their frames, ascending and after those so far.
            yx_nm: (E, 2) positions.
        """
        if not len(frame):
            return self
        early = self.early if len(self.curve.frame) else EarlyLocalizations()
        if early is not None:
            early = early.joined(frame, yx_nm)
            measured = early.measure_if_due()
            if measured is not None:
                return self._measured_anew(early, measured)
        if len(self.curve.frame):
            recent = self._continued(frame, yx_nm)
            curve = _thinned(self._with(recent.curve(frame[0], frame[-1])))
        else:
            recent, curve = _no_measurements(), DriftCurve(frame.mean(keepdims=True), np.zeros((1, 2)))
        reference = np.concatenate([self.reference_nm, yx_nm - curve.at(frame)])
        sample = _sample(reference, np.append(self.priority, _priority(frame)))
        return LiveDrift(curve, *sample, recent, early=early)

    def _measured_anew(self, early: EarlyLocalizations, measured: DriftMeasurements) -> LiveDrift:
        """Return the drift as measured from all localizations so far.

        Those drawn already stay where they are, in the mean.
        """
        frame = early.frame
        curve, drawn = measured.curve(frame[0], frame[-1]), frame[: len(self.priority)]
        by = (self.curve.at(drawn) - curve.at(drawn)).mean(0) if len(drawn) else -curve.yx_nm[0]
        curve = DriftCurve(curve.frame, curve.yx_nm + by)
        recent = _newest(replace(measured, yx_nm=measured.yx_nm + by), MAX_RECENT)
        sample = _sample(early.yx_nm - curve.at(frame), _priority(frame))
        return LiveDrift(curve, *sample, recent, early=early.after_measurement())

    def _continued(self, frame: Floats, yx_nm: Floats) -> DriftMeasurements:
        """Measure new localizations in segments, after those so far."""
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
        """Return earlier localizations, thinned where many are in reach.

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


def _priority(frame: Floats) -> Floats:
    """Draw the order in which localizations leave the sample, (E,)."""
    return np.random.default_rng(int(frame[0])).random(len(frame))


def _sample(reference_nm: Floats, priority: Floats) -> tuple[Floats, Floats]:
    """Keep the localizations of lowest priority, and their priorities."""
    if len(priority) <= MAX_REFERENCE:
        return reference_nm, priority
    kept = np.sort(np.argpartition(priority, MAX_REFERENCE)[:MAX_REFERENCE])
    return reference_nm[kept], priority[kept]


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
