"""Pairs of localizations as measurements of a shift.

Localizations of one structure that were found at different times lie apart by the drift in between and by noise. Pairs
are sought in a Gaussian neighbourhood; its pull towards no shift is undone, and what shows no shift, along a filament,
is left out, as in `selfstorm.stream.registration`.

Reference:
    The displacements of nearest pairs: NP-Cloud, Nature Communications (2025).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from selfstorm.compute.neighbours import tree_of

Floats = NDArray[np.float64]

PAIRS_EACH = 24  # of a localization, about: more of them tell little, as its own error is in all
MIN_GROUP = 2_000
PAIRS_TOGETHER = 2_000_000
SHIFT_RADIUS_NM = 150.0
SHIFT_STEPS = 8
MIN_GATE_NM = 40.0  # standard deviation of the neighbourhood that shifts are found in
RADIUS_SDS = 1.6
GATE_SHARE = 0.95
MIN_VARIANCE_NM2 = 25.0


def shift_between(
    reference: cKDTree, found: Floats, radius: float = SHIFT_RADIUS_NM, steps: int = SHIFT_STEPS
) -> tuple[Floats, Floats]:
    """Find the shift in nm from reference localizations to others.

    The mean displacement of the pairs in a neighbourhood, corrected for its pull towards none; repeated around the
    shift so far.

    Args:
        reference: tree of (R, 2) nm.
        found: (N, 2) nm.
        radius: of the neighbourhood, nm; shifts up to it are found.
        steps: repetitions, while the neighbourhood shrinks.

    Returns:
        (2,) nm, and the variances of its error, (2,) nm^2, infinite where nothing can be compared.
    """
    shift, variance = np.zeros(2), np.full(2, np.inf)
    if not len(found) or not reference.n:
        return shift, variance
    sd = radius / RADIUS_SDS
    for step in range(steps):
        near = tree_of(found - shift).sparse_distance_matrix(reference, RADIUS_SDS * sd, output_type="coo_matrix")
        if not near.nnz:
            break
        d = found[near.row] - shift - reference.data[near.col]
        weight = np.exp(-0.5 * (near.data / sd) ** 2)
        sums = _moments(near.row, d, weight, len(found))
        information, precision = _precisions(sums, sd)
        share = 1 / sums[0].clip(1.0)
        mean = np.stack([np.bincount(near.row, weight * d[:, axis], len(found)) for axis in (0, 1)], -1)
        whole = np.einsum("n,nij->ij", share * sums[0], information)
        whole += (1e-9 * np.trace(whole) + 1e-12) * np.eye(2)
        shift = shift + np.linalg.solve(whole, np.einsum("n,nij,nj->i", share, precision, mean))
        variance = np.linalg.inv(whole).diagonal()
        sd = max(0.8 * sd, MIN_GATE_NM) if step < steps - 1 else sd
    return shift, variance


def _moments(of: NDArray[np.intp], d: Floats, weight: Floats, count: int) -> Floats:
    """Sum weights and products of displacements, (4, count).

    Args:
        of: (P,) localization that each pair belongs to.
        d: (P, 2) displacements.
        weight: (P,).
        count: of localizations.
    """
    d_y, d_x = d.T
    products = (weight, weight * d_y * d_y, weight * d_y * d_x, weight * d_x * d_x)
    return np.stack([np.bincount(of, values, count) for values in products])


def _precisions(sums: Floats, sd: float) -> tuple[Floats, Floats]:
    """Return the information of a pair and its pull, matrices (E, 2, 2) each.

    See `selfstorm.stream.registration._precision` for the algebra. A pair that tells nothing is added to those of a
    localization: few of them are alike by chance.

    Args:
        sums: (4, E) of each localization's pairs, see `_moments`.
        sd: of the neighbourhood, nm.
    """
    gate = GATE_SHARE * sd**2
    yy, yx, xx = sums[1:]
    count = sums[0] + 1
    scatter = np.stack(
        [np.stack([(yy + gate) / count, yx / count], -1), np.stack([yx / count, (xx + gate) / count], -1)], -2
    )
    variance, axes = np.linalg.eigh(scatter)
    variance = variance.clip(MIN_VARIANCE_NM2)
    precision = (1 / variance - 1 / gate).clip(0)
    turned = axes.transpose(0, 2, 1)
    return (axes * (variance * precision**2)[:, None]) @ turned, (axes * precision[:, None]) @ turned


def group_count(at: Floats, radius: float) -> int:
    """Choose the number of groups among which pairs are sought."""
    some = at[:: -(-len(at) // MIN_GROUP)]
    tree = tree_of(some)
    pairs_each = (int(tree.count_neighbors(tree, radius)) / len(some) - 1) * len(at) / len(some)
    return int(np.clip(pairs_each / PAIRS_EACH, 1, max(len(at) // MIN_GROUP, 1)))


def add_pairs(system: Floats, right: Floats, segment: NDArray[np.intp], at: Floats, radius: float) -> None:
    """Add the equations of all pairs in a group of localizations.

    Each localization counts once, however many pairs it has.
    """
    sd, count = radius / RADIUS_SDS, right.shape[1]
    information, precision, share = _local_precisions(at, radius, sd)
    for one, other in _pairs(at, radius):
        apart = segment[one] != segment[other]
        one, other = one[apart], other[apart]
        d = at[other] - at[one]
        weight = np.exp(-0.5 * (d**2).sum(1) / sd**2) * (share[one] + share[other])
        info = 0.5 * (information[one] + information[other]) * weight[:, None, None]
        pull = np.einsum("nij,nj->ni", 0.5 * (precision[one] + precision[other]) * weight[:, None, None], d)
        a, b = segment[one], segment[other]
        for i in (0, 1):
            right[i] += np.bincount(b, pull[:, i], count) - np.bincount(a, pull[:, i], count)
            for j in (0, 1):
                system[i, j] -= np.bincount(a * count + b, info[:, i, j], count**2).reshape(count, count)


def _pairs(at: Floats, radius: float) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Iterate over pairs in a neighbourhood, in bounded numbers."""
    pairs = tree_of(at).query_pairs(radius, output_type="ndarray")
    for first in range(0, len(pairs), PAIRS_TOGETHER):
        part = pairs[first : first + PAIRS_TOGETHER]
        yield part[:, 0], part[:, 1]


def _local_precisions(at: Floats, radius: float, sd: float) -> tuple[Floats, Floats, Floats]:
    """Return information and pull matrices around each localization.

    Returns:
        (E, 2, 2) each, see `_precisions`; and (E,) the share of a localization in each of its pairs.
    """
    sums = np.zeros((4, len(at)))
    for one, other in _pairs(at, radius):
        d = at[other] - at[one]
        weight = np.exp(-0.5 * (d**2).sum(1) / sd**2)
        sums += _moments(one, d, weight, len(at)) + _moments(other, d, weight, len(at))
    return *_precisions(sums, sd), 1 / sums[0].clip(1.0)
