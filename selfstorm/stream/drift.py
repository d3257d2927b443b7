"""Drift of the stage from localizations, in y and x.

Frames are put into segments of some hundred localizations. Localizations of one structure, found in different segments,
lie apart by the drift in between and by noise, so every pair of segments that shares structure measures a difference.
All differences are solved for together: pairwise steps alone would walk away at random. The neighbourhood in which
pairs are sought shrinks as the curve improves, and its pull towards no drift is undone as in
`selfstorm.stream.registration`. The curve is smoothed as strongly as the differences ask for
(`selfstorm.stream.drift_smoothing`), so that segments may be short.

Reference:
    All segments at once: Wang et al., Opt. Express 22, 15982 (2014), there by cross-correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfstorm.compute.neighbours import tree_of
from selfstorm.stream.drift_pairs import add_pairs, group_count, shift_between
from selfstorm.stream.drift_smoothing import SmoothedDrift, smoothed

Floats = NDArray[np.float64]

MIN_SEGMENT_FRAMES = 3
MIN_COARSE, MAX_COARSE_SEGMENTS = 120, 200  # localizations of a segment that a first curve is found with
MIN_FINE, MAX_FINE_SEGMENTS = 60, 400
# Of each pass: radius in nm in which pairs are sought, and localizations used; each pass has others.
COARSE_PASSES = ((150.0, 12_000), (110.0, 12_000))
FINE_PASSES = ((80.0, 12_000), (70.0, 24_000), (60.0, 96_000))
REFERENCE_SEGMENTS = 6  # before a segment, that its first estimate is found from
TIES = 0.02  # between neighbouring segments, in units of the mean information of one
OVER_RELAXATION = 1.1
VELOCITY_MEMORY = 0.5  # share of the velocity so far in that of the first curve


@dataclass(frozen=True)
class DriftCurve:
    """Drift of a sample against its first frames.

    Attributes:
        frame: (K,) middles of the segments, rising.
        yx_nm: (K, 2) where the sample is, relative to the mean of the first segment.
    """

    frame: Floats
    yx_nm: Floats

    def at(self, frame: Floats) -> Floats:
        """Interpolate the drift of frames, (N, 2) nm."""
        if not len(self.frame):
            return np.zeros((len(frame), 2))
        return np.stack([np.interp(frame, self.frame, self.yx_nm[:, axis]) for axis in (0, 1)], -1)


@dataclass(frozen=True)
class DriftMeasurements:
    """Drift of segments, not smoothed.

    Attributes:
        frame: (S,) middles of the segments, rising.
        yx_nm: (S, 2) where the sample is.
        variance_nm2: (S, 2) of its errors, up to a common factor.
    """

    frame: Floats
    yx_nm: Floats
    variance_nm2: Floats

    def curve(self, first: float, last: float) -> DriftCurve:
        """Smooth the measurements, and extrapolate to two frames."""
        return with_ends(smoothed(self.frame, self.yx_nm, self.variance_nm2), first, last)


def estimate_drift(frame: Floats, yx_nm: Floats) -> DriftCurve:
    """Estimate the drift of a recording from its localizations.

    Args:
        frame: (E,) numbers of their frames, ascending.
        yx_nm: (E, 2) positions.

    Returns:
        A curve; without knots where there are too few localizations for two segments.
    """
    measured = measure_drift(frame, yx_nm)
    if measured is None:
        return DriftCurve(np.zeros(0), np.zeros((0, 2)))
    curve = measured.curve(frame[0], frame[-1])
    return DriftCurve(curve.frame, curve.yx_nm - curve.yx_nm[0])


def measure_drift(frame: Floats, yx_nm: Floats) -> DriftMeasurements | None:
    """Measure the drift of segments of a recording.

    Args:
        frame: (E,) numbers of the localizations' frames, ascending.
        yx_nm: (E, 2) positions.

    Returns:
        None where there are too few localizations for two segments.
    """
    segments = _Segments.of(frame, MIN_COARSE, MAX_COARSE_SEGMENTS)
    if segments is None:
        return None
    measured, curve, number = None, DriftCurve(segments.middle, _walked(segments, frame, yx_nm)), 0
    for passes, least, most in (
        (COARSE_PASSES, MIN_COARSE, MAX_COARSE_SEGMENTS),
        (FINE_PASSES, MIN_FINE, MAX_FINE_SEGMENTS),
    ):
        segments = _Segments.of(frame, least, most) or segments
        for radius, at_most in passes:
            used = _sample(len(frame), at_most, number)
            at = yx_nm[used] - curve.at(frame[used])
            step, variance = _improvement(segments.number[used], at, len(segments.middle), radius)
            drift = curve.at(segments.middle) + OVER_RELAXATION * step
            measured = DriftMeasurements(segments.middle, drift, variance)
            curve = measured.curve(frame[0], frame[-1])
            number += 1
    return measured


def with_ends(drift: SmoothedDrift, first: float, last: float) -> DriftCurve:
    """Return the curve of a smoothed drift, extrapolated to two frames."""
    frame, yx_nm = drift.frame, drift.yx_nm
    if first < frame[0]:
        frame, yx_nm = np.append(first, frame), np.concatenate([drift.at(first)[None], yx_nm])
    if last > frame[-1]:
        frame, yx_nm = np.append(frame, last), np.concatenate([yx_nm, drift.at(last)[None]])
    return DriftCurve(frame, yx_nm)


@dataclass(frozen=True)
class _Segments:
    """Division of localizations by time.

    Attributes:
        number: (E,) segment of each localization.
        middle: (S,) mean frame of each segment.
    """

    number: NDArray[np.intp]
    middle: Floats

    @classmethod
    def of(cls, frame: Floats, least: int, most: int) -> _Segments | None:
        """Divide frames evenly; None where there are not two segments.

        Args:
            frame: (E,) of each localization, ascending.
            least: localizations of a segment, on average.
            most: segments.
        """
        if not len(frame):
            return None
        first, end = frame[0], frame[-1] + 1
        count = min(len(frame) // least, int((end - first) // MIN_SEGMENT_FRAMES), most)
        if count < 2:
            return None
        edges = np.linspace(first, end, count + 1)
        number = (np.searchsorted(edges, frame, side="right") - 1).clip(0, count - 1)
        filled, number = np.unique(number, return_inverse=True)
        each = np.bincount(number, minlength=len(filled))
        return cls(number.reshape(-1), np.bincount(number.reshape(-1), frame, len(filled)) / each)


def _sample(count: int, at_most: int, number: int) -> NDArray[np.intp]:
    """Choose localizations of a pass, ascending, others in every pass."""
    if count <= at_most:
        return np.arange(count)
    return np.sort(np.random.default_rng(number).choice(count, at_most, replace=False))


def _walked(segments: _Segments, frame: Floats, yx_nm: Floats) -> Floats:
    """Find a first curve: each segment against those just before it."""
    count, middle = len(segments.middle), segments.middle
    drift, velocity = np.zeros((count, 2)), np.zeros(2)
    starts = np.searchsorted(segments.number, np.arange(count + 1))
    at = yx_nm.copy()  # moved back by the drift so far, also within a segment
    for number in range(1, count):
        reference = tree_of(at[starts[max(0, number - REFERENCE_SEGMENTS)] : starts[number]])
        own = slice(starts[number], starts[number + 1])
        gap = middle[number] - middle[number - 1]
        expected = drift[number - 1] + gap * velocity
        drift[number] = expected + shift_between(reference, yx_nm[own] - expected)[0]
        velocity = VELOCITY_MEMORY * velocity + (1 - VELOCITY_MEMORY) * (drift[number] - drift[number - 1]) / gap
        at[own] = yx_nm[own] - drift[number] - (frame[own] - middle[number])[:, None] * velocity
    return drift


def _improvement(segment: NDArray[np.intp], at: Floats, count: int, radius: float) -> tuple[Floats, Floats]:
    """Solve for what is left of the drift.

    Args:
        segment: (E,) of each localization.
        at: (E, 2) nm, moved back by the drift so far.
        count: number of segments.
        radius: of the neighbourhood, nm.

    Returns:
        (segments, 2) nm, and the variances of each segment against all others, (segments, 2) nm^2.
    """
    system, right = np.zeros((2, 2, count, count)), np.zeros((2, count))
    groups = group_count(at, radius)
    for first in range(groups):
        add_pairs(system, right, segment[first::groups], at[first::groups], radius)
    for i in (0, 1):
        for j in (0, 1):
            system[i, j] += system[i, j].T
            np.fill_diagonal(system[i, j], -system[i, j].sum(1))
    own = np.diagonal(system, axis1=2, axis2=3).transpose(2, 0, 1)
    mean = float(np.trace(own, axis1=1, axis2=2).mean()) / 2
    if not mean > 0:
        return np.zeros((count, 2)), np.full((count, 2), np.inf)
    # A small pull of each segment to its neighbours, and of all of them to no change.
    ties = TIES * mean * _second_differences(count) + 1e-6 * mean * np.eye(count)
    whole = np.block([[system[0, 0] + ties, system[0, 1]], [system[1, 0], system[1, 1] + ties]])
    solved: Floats = np.linalg.solve(whole, right.ravel()).reshape(2, count).T
    variance = np.linalg.inv(own + 1e-6 * mean * np.eye(2)).diagonal(axis1=1, axis2=2)
    return solved, np.asarray(variance)


def _second_differences(count: int) -> Floats:
    """Return the matrix whose form is the sum of squared differences."""
    steps = np.diff(np.eye(count), axis=0)
    return np.asarray(steps.T @ steps)
