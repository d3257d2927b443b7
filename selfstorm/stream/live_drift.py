"""Drift of the stage as localisations come, in y and x.

New localisations are set against a sample of all earlier ones, each moved back by the drift found for it. The sample is
of the whole recording, so the curve does not walk away at random, and it is bounded, so a stride costs the same after
a minute and after an hour.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from selfstorm.stream.drift import WALK_RADIUS_NM, DriftCurve, estimate_drift, shift_between

Floats = NDArray[np.float64]

MAX_REFERENCE = 10_000  # localisations that new ones are set against
MIN_SEGMENT = 250  # localisations
FULL_WEIGHT = 100  # localisations; the shift of fewer counts in proportion
MAX_SEGMENTS_AT_ONCE = 4
MAX_IN_SEGMENT = 500  # that are set against the others: more add precision that nothing needs
MAX_KNOTS = 4_096  # of the curve; beyond them, its older half keeps every second
RADIUS_NM = 100.0
NEW_STREAM_RADIUS_NM = 2 * WALK_RADIUS_NM  # the sample may have moved while no frames came


def _no_points() -> Floats:
    return np.zeros((0, 2))


@dataclass(frozen=True, eq=False)
class LiveDrift:
    """A drift curve, and the localisations that continue it.

    Attributes:
        curve: Drift so far, against the first frames.
        reference_nm: (R, 2) localisations, moved back by the drift.
        priority: (R,) the lowest of all localisations so far stay in the sample.
        interrupted: True where frames of another stream come next.
    """

    curve: DriftCurve = field(default_factory=lambda: DriftCurve(np.zeros(0), _no_points()))
    reference_nm: Floats = field(default_factory=_no_points)
    priority: Floats = field(default_factory=lambda: np.zeros(0))
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
        first = self._started(frame, yx_nm) if not len(self.curve.frame) else self._continued(frame, yx_nm)
        curve = _thinned(first)
        priority = np.concatenate([self.priority, np.random.default_rng(int(frame[0])).random(len(frame))])
        reference = np.concatenate([self.reference_nm, yx_nm - curve.at(frame)])
        if len(reference) > MAX_REFERENCE:
            kept = np.sort(np.argpartition(priority, MAX_REFERENCE)[:MAX_REFERENCE])
            reference, priority = reference[kept], priority[kept]
        return LiveDrift(curve, reference, priority)

    def _started(self, frame: Floats, yx_nm: Floats) -> DriftCurve:
        """Return the curve of the first localisations."""
        curve = estimate_drift(frame, yx_nm)
        return curve if len(curve.frame) else DriftCurve(frame.mean(keepdims=True), np.zeros((1, 2)))

    def _continued(self, frame: Floats, yx_nm: Floats) -> DriftCurve:
        """Return the curve continued by new localisations, in segments."""
        knots, drift = [], []
        newest, radius = self.newest_nm, NEW_STREAM_RADIUS_NM if self.interrupted else RADIUS_NM
        count = max(1, min(len(frame) // MIN_SEGMENT, MAX_SEGMENTS_AT_ONCE))
        edges = np.linspace(frame[0], frame[-1] + 1, count + 1)[1:-1]
        for part in np.split(np.arange(len(frame)), np.searchsorted(frame, edges)):
            if not len(part):
                continue
            used = part[:: -(-len(part) // MAX_IN_SEGMENT)]
            if len(self.reference_nm) >= FULL_WEIGHT:
                shift = shift_between(self.reference_nm, yx_nm[used] - newest, radius)
                newest = newest + min(1.0, len(used) / FULL_WEIGHT) * shift
            knots.append(frame[part].mean())
            drift.append(newest)
            radius = RADIUS_NM
        return DriftCurve(np.append(self.curve.frame, knots), np.concatenate([self.curve.yx_nm, drift]))


def _thinned(curve: DriftCurve) -> DriftCurve:
    """Return a curve of bounded length, coarser where it is old."""
    if len(curve.frame) <= MAX_KNOTS:
        return curve
    half = len(curve.frame) // 2
    kept = np.r_[0:half:2, half : len(curve.frame)]
    return DriftCurve(curve.frame[kept], curve.yx_nm[kept])
