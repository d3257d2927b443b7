"""Drift of the stage from localisations, in y and x.

Frames are put into segments of some hundred localisations. Localisations of one structure, found in different segments,
lie apart by the drift in between and by noise, so every pair of segments that shares structure measures a difference.
All differences are solved for together: pairwise steps alone would walk away at random. The neighbourhood in which
pairs are sought shrinks as the curve improves, and its pull towards no drift is undone as in
`selfstorm.stream.registration`.

Reference:
    The displacements of nearest pairs: NP-Cloud, Nature Communications (2025). All segments at once: Wang et al., Opt.
    Express 22, 15982 (2014), there by cross-correlation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

MIN_A_SEGMENT = 250  # localisations
MIN_SEGMENT_FRAMES = 5
MAX_SEGMENTS = 400
# Of each pass: radius in nm in which pairs are sought, and localisations used; each pass has others.
PASSES = ((150.0, 12_000), (110.0, 12_000), (80.0, 12_000), (70.0, 12_000), (60.0, 24_000), (60.0, 24_000))
WALK_RADIUS_NM = 150.0
WALK_STEPS = 8
REFERENCE_SEGMENTS = 6  # before a segment, that its first estimate is found from
RADIUS_SDS = 1.6
GATE_SHARE = 0.95
SMOOTHNESS = 0.1  # of the curve, in units of the mean information of a segment
PAIRS_TOGETHER = 2_000_000
MIN_VARIANCE_NM2 = 25.0
OVER_RELAXATION = 1.1


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


def estimate_drift(frame: Floats, yx_nm: Floats) -> DriftCurve:
    """Estimate the drift of a recording from its localisations.

    Args:
        frame: (E,) numbers of their frames, ascending.
        yx_nm: (E, 2) positions.

    Returns:
        A curve; without knots where there are too few localisations for two segments.
    """
    edges = _edges(frame) if len(frame) else frame
    if len(edges) < 3:
        return DriftCurve(np.zeros(0), np.zeros((0, 2)))
    segment = (np.searchsorted(edges, frame, side="right") - 1).clip(0, len(edges) - 2)
    count = len(edges) - 1
    middle = np.bincount(segment, frame, count) / np.bincount(segment, minlength=count).clip(1)
    drift = _walked(segment, yx_nm, count)
    for number, (radius, at_most) in enumerate(PASSES):
        used = _sample(len(frame), at_most, number)
        drift = drift + OVER_RELAXATION * _improvement(segment[used], yx_nm[used] - drift[segment[used]], count, radius)
    return DriftCurve(middle, drift - drift[0])


def _edges(frame: Floats) -> Floats:
    """Choose the first frames of the segments, and the end of the last."""
    first, end = frame[0], frame[-1] + 1
    wanted = min(len(frame) // MIN_A_SEGMENT, int((end - first) // MIN_SEGMENT_FRAMES), MAX_SEGMENTS)
    return np.linspace(first, end, max(wanted, 1) + 1)


def _sample(count: int, at_most: int, number: int) -> NDArray[np.intp]:
    """Choose localisations of a pass, ascending, others in every pass."""
    if count <= at_most:
        return np.arange(count)
    return np.sort(np.random.default_rng(number).choice(count, at_most, replace=False))


def _walked(segment: NDArray[np.intp], yx_nm: Floats, count: int) -> Floats:
    """Find a first curve: each segment against those just before it."""
    drift = np.zeros((count, 2))
    starts = np.searchsorted(segment, np.arange(count + 1))
    for number in range(1, count):
        before = slice(starts[max(0, number - REFERENCE_SEGMENTS)], starts[number])
        reference = yx_nm[before] - drift[segment[before]]
        drift[number] = drift[number - 1]
        own = yx_nm[starts[number] : starts[number + 1]]
        drift[number] += shift_between(reference, own - drift[number])
    return drift


def shift_between(reference: Floats, found: Floats, radius: float = WALK_RADIUS_NM) -> Floats:
    """Find the shift (2,) in nm from reference localisations to others.

    The mean displacement of the pairs in a neighbourhood, corrected for its pull towards none; repeated around the
    shift so far.

    Args:
        reference: (R, 2) nm.
        found: (N, 2) nm.
        radius: of the neighbourhood, nm; shifts up to it are found.
    """
    shift = np.zeros(2)
    if not len(found) or not len(reference):
        return shift
    tree = cKDTree(reference)
    sd = radius / RADIUS_SDS
    for step in range(WALK_STEPS):
        near = cKDTree(found - shift).sparse_distance_matrix(tree, RADIUS_SDS * sd, output_type="coo_matrix")
        if not near.nnz:
            break
        apart = found[near.row] - shift - reference[near.col]
        weight = np.exp(-0.5 * (near.data / sd) ** 2)
        information, pull = _information(apart, weight, sd)
        ridge = 1e-9 * np.trace(information) + 1e-12
        shift = shift + np.linalg.solve(information + ridge * np.eye(2), pull)
        sd = max(0.8 * sd, 40.0) if step < WALK_STEPS - 1 else sd
    return shift


def _information(apart: Floats, weight: Floats, sd: float) -> tuple[Floats, Floats]:
    """Return the information (2, 2) on a shift and its right side (2,).

    See `selfstorm.stream.registration._precision` for the algebra.
    """
    scatter = (apart * weight[:, None]).T @ apart / weight.sum()
    variance, axes = np.linalg.eigh(scatter)
    variance = variance.clip(MIN_VARIANCE_NM2)
    precision = (1 / variance - 1 / (GATE_SHARE * sd**2)).clip(0)
    information = (axes * (variance * precision**2)) @ axes.T * weight.sum()
    return information, (axes * precision) @ axes.T @ (apart * weight[:, None]).sum(0)


def _improvement(segment: NDArray[np.intp], at: Floats, count: int, radius: float) -> Floats:
    """Solve for what is left of the drift, (segments, 2) nm.

    Args:
        segment: (E,) of each localisation.
        at: (E, 2) nm, moved back by the drift so far.
        count: number of segments.
        radius: of the neighbourhood, nm.
    """
    sd = radius / RADIUS_SDS
    matrices = _local_precisions(at, radius, sd)
    system, right = np.zeros((2, 2, count, count)), np.zeros((2, count))
    for one, other in _pairs(at, radius):
        apart = segment[one] != segment[other]
        one, other = one[apart], other[apart]
        d = at[other] - at[one]
        weight = np.exp(-0.5 * (d**2).sum(1) / sd**2)
        info = 0.5 * (matrices[0][one] + matrices[0][other]) * weight[:, None, None]
        pull = np.einsum("nij,nj->ni", 0.5 * (matrices[1][one] + matrices[1][other]) * weight[:, None, None], d)
        a, b = segment[one], segment[other]
        for i in (0, 1):
            right[i] += np.bincount(b, pull[:, i], count) - np.bincount(a, pull[:, i], count)
            for j in (0, 1):
                system[i, j] -= np.bincount(a * count + b, info[:, i, j], count**2).reshape(count, count)
    for i in (0, 1):
        for j in (0, 1):
            system[i, j] += system[i, j].T
            np.fill_diagonal(system[i, j], -system[i, j].sum(1))
    diagonal = 0.5 * (system[0, 0].diagonal() + system[1, 1].diagonal())
    if not diagonal.sum() > 0:
        return np.zeros((count, 2))
    # A small pull of each segment to its neighbours, and of all of them to no change.
    ties = SMOOTHNESS * diagonal.mean() * _second_differences(count) + 1e-6 * diagonal.mean() * np.eye(count)
    whole = np.block([[system[0, 0] + ties, system[0, 1]], [system[1, 0], system[1, 1] + ties]])
    solved: Floats = np.linalg.solve(whole, right.ravel()).reshape(2, count).T
    return solved


def _pairs(at: Floats, radius: float) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Iterate over pairs in a neighbourhood, in bounded numbers."""
    pairs = cKDTree(at).query_pairs(radius, output_type="ndarray")
    for first in range(0, len(pairs), PAIRS_TOGETHER):
        part = pairs[first : first + PAIRS_TOGETHER]
        yield part[:, 0], part[:, 1]


def _local_precisions(at: Floats, radius: float, sd: float) -> tuple[Floats, Floats]:
    """Return information and pull matrices around each localisation.

    Returns:
        (E, 2, 2) each; see `_information`.
    """
    sums = np.zeros((4, len(at)))
    for one, other in _pairs(at, radius):
        d_y, d_x = (at[other] - at[one]).T
        weight = np.exp(-0.5 * (d_y**2 + d_x**2) / sd**2)
        for row, values in enumerate((weight, weight * d_y * d_y, weight * d_y * d_x, weight * d_x * d_x)):
            sums[row] += np.bincount(one, values, len(at)) + np.bincount(other, values, len(at))
    yy, yx, xx = sums[1:] / sums[0].clip(1e-9)
    scatter = np.stack([np.stack([yy, yx], -1), np.stack([yx, xx], -1)], -2)
    variance, axes = np.linalg.eigh(scatter)
    variance = variance.clip(MIN_VARIANCE_NM2)
    precision = (1 / variance - 1 / (GATE_SHARE * sd**2)).clip(0)
    precision[sums[0] < 1e-9] = 0
    turned = axes.transpose(0, 2, 1)
    return (axes * (variance * precision**2)[:, None]) @ turned, (axes * precision[:, None]) @ turned


def _second_differences(count: int) -> Floats:
    """Return the matrix whose form is the sum of squared differences."""
    steps = np.diff(np.eye(count), axis=0)
    return np.asarray(steps.T @ steps)
