"""Precision of localizations by nearest-neighbour analysis (NeNA).

An emitter that stays on is found again in the next frame, off by the errors of both. How often two localizations of
consecutive frames lie how far apart is therefore a Rayleigh distribution, on top of the distances to other emitters.
Those are counted between frames far apart, where few emitters are still the same, and subtracted: in crowded fields
they are most of all distances.

It measures how repeatable positions are. An error that is the same in both frames, of a wrong PSF for example, is not
in it.

Reference:
    Endesfelder et al., A simple method to estimate the average localization precision of a single-molecule localization
    microscopy experiment, Histochemistry and Cell Biology 141, 629 (2014), equation 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FAR_LAGS = (12, 20)  # frames between which distances to other emitters are counted
BINS, BIN_SDS = 100, 0.12  # of distances, in claimed standard deviations
FACTORS: Floats = np.geomspace(0.25, 5.0, 120)  # precisions that are tried, over the claimed one
MIN_AMPLITUDE_Z = 5.0  # of the share of emitters found again, in standard errors


def nena_nm(frame: Integers, yx_nm: Floats, claimed_nm: float) -> float | None:
    """Measure the precision by distances between consecutive frames.

    Args:
        frame: (N,) of the localizations, ascending.
        yx_nm: (N, 2) positions.
        claimed_nm: Precision to begin from; .25 to 5 times as much is found.

    Returns:
        The standard deviation of a position along one axis, nm; None where too few emitters stay on for a frame.
    """
    if not len(frame) or not claimed_nm > 0 or frame[-1] - frame[0] < 2 * FAR_LAGS[-1]:
        return None
    edges: Floats = claimed_nm * BIN_SDS * np.arange(BINS + 1.0)
    near, far = _distances(frame, yx_nm, (1,), edges), _distances(frame, yx_nm, FAR_LAGS, edges)
    return _fit(near, far, edges, claimed_nm * FACTORS)


def _distances(frame: Integers, yx_nm: Floats, lags: tuple[int, ...], edges: Floats) -> Floats:
    """Count pairs by their distance, per pair of frames so far apart.

    Returns:
        (2, bins) mean number, and its variance.
    """
    reach = float(edges[-1])
    # One line of all frames, so far apart that a search never reaches from one into another; then places along it.
    y_nm, x_nm = yx_nm.T
    spacing = float(np.ptp(x_nm)) + 2 * reach + 1
    line = (frame - frame[0]) * spacing + x_nm
    order = np.argsort(line)
    line, y_nm, x_nm = line[order], y_nm[order], x_nm[order]
    counts, pairs = np.zeros(len(edges) - 1), 0
    for lag in lags:
        first, end = (np.searchsorted(line, line + lag * spacing + side) for side in (-reach, reach))
        many = end - first
        one = np.repeat(np.arange(len(line)), many)
        other = np.arange(len(one)) + np.repeat(first - (np.cumsum(many) - many), many)
        counts += np.histogram(np.hypot(y_nm[one] - y_nm[other], x_nm[one] - x_nm[other]), edges)[0]
        pairs += int(frame[-1] - frame[0]) + 1 - lag
    return np.stack([counts / pairs, (counts + 1) / pairs**2])


def _fit(near: Floats, far: Floats, edges: Floats, sds_nm: Floats) -> float | None:
    """Fit distances in excess of those to other emitters.

    The model: an amplitude times the Rayleigh distribution, and a term that rises with the distance for a number of
    emitters that changes with time.
    """
    excess, weight = near[0] - far[0], 1 / (near[1] + far[1])
    squares = edges**2
    line = np.diff(squares)
    # (S, bins): integral of d / (2 s^2) exp(-d^2 / (4 s^2)) over a bin
    peaks = -np.diff(np.exp(-squares / (4 * sds_nm[:, None] ** 2)), axis=1)
    # Weighted least squares of two columns, in closed form.
    pp, pl, ll = (peaks**2 @ weight, peaks * line @ weight, line**2 @ weight)
    pe, le = peaks @ (weight * excess), line @ (weight * excess)
    determinant = pp * ll - pl**2
    amplitude = (ll * pe - pl * le) / determinant
    slope = (pp * le - pl * pe) / determinant
    explained = np.where(amplitude > 0, amplitude * pe + slope * le, -np.inf)
    best = int(explained.argmax())
    if amplitude[best] < MIN_AMPLITUDE_Z * np.sqrt(ll / determinant[best]):
        return None
    return float(sds_nm[best])
