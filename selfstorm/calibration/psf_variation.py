"""Variation of the PSF over the field: widths of what blinks in its parts.

Products of pixels d apart, summed over a part of the field, are proportional to the PSF's autocorrelation at d, as in
field_moments.py, and a PSF wider by a factor 1 + e stretches it: R(d) = a (rho(d) + e d rho'(d)) + constant. Here rho
is that of the whole field. A product belongs to the point midway between its pixels, so that an emitter at the edge
of a part counts there alike at every lag. Pixels too far apart for a PSF determine the constant: what all pixels share,
such as a lamp, and the little that subtracting the mean of each change adds. Measurements: docs/decisions/0023.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from selfstorm.calibration.far_correlation import without_shared
from selfstorm.calibration.field_moments import BLOCK_PAIRS, first_of_pairs
from selfstorm.frames import Array

FAR_PX = 7
NEAR = [(y, x) for y in range(4) for x in range(-3, 4) if (y, x) > (0, 0) and y * y + x * x < 11]
FAR = [(0, 7), (7, 0), (5, 5), (5, -5), (6, 3), (6, -3), (3, 6), (3, -6)]  # 7 pixels apart, all round
LAGS = np.array(NEAR + FAR)
NEAR_LAGS, FAR_LAGS = slice(len(NEAR)), slice(len(NEAR), None)
DISTANCE2 = np.square(LAGS).sum(1)
PART_PX, MAX_PARTS = 12, 4  # along a side: smaller parts hold too few emitters
FADE_PX = 4  # at the edges of the field, where emitters are cut
MIN_BLOCKS, MAX_BLOCKS = 8, 64  # of frame pairs: fewer show no error, and of a long run the newest count
MAX_WIDTH_ERROR = 0.1  # relative; the width of a part with less light is not known
MIN_Z = 3.0  # below which chance explains the differences
MIN_SHARE, MIN_LAGS = 0.05, 4  # of the largest moment; moments above it, which show the width of the field's PSF
WORDS_Y, WORDS_X = ("top", "", "bottom"), ("left", "", "right")


@dataclass(frozen=True, eq=False)
class PsfVariation:
    """Widths of what blinks in the parts of a field.

    Attributes:
        widths: (rows, columns) over that of the field, less what chance explains; NaN where too little blinks.
    """

    widths: Array

    @property
    def relative(self) -> float:
        """By how much the widest part is wider than the narrowest, relative."""
        return float(np.nanmax(self.widths) / np.nanmin(self.widths)) - 1

    def __str__(self) -> str:
        sharpest, widest = (
            _place(at, self.widths.shape) for at in (np.nanargmin(self.widths), np.nanargmax(self.widths))
        )
        return f"What blinks is sharpest {sharpest} of the field and widest {widest}"


def part_moments(frames: Array) -> tuple[Array, ...]:
    """Sum products of pixels over pairs of frames and over parts of the field.

    Args:
        frames: (T, H, W) in any linear unit, the same for all calls.

    Returns:
        (rows, columns, lags) at LAGS, for each block of pairs; none for fields that have no parts.
    """
    height, width = frames.shape[1:]
    if len(frames) < 2 or min(height, width) < 2 * FAR_PX or max(height, width) < 2 * PART_PX:
        return ()
    first, photons = first_of_pairs(frames), frames.astype(np.float32)
    change = without_shared(photons.mean(0), photons[first + 1] - photons[first])
    weights = [(_weights(height, int(y)), _weights(width, abs(int(x)))) for y, x in LAGS]
    blocks = np.array_split(change, max(1, len(change) // BLOCK_PAIRS))
    return tuple(
        np.stack([_product(block, lag, *at) for lag, at in zip(LAGS, weights, strict=True)], -1) for block in blocks
    )


def compare_widths(blocks: Sequence[Array]) -> PsfVariation | None:
    """Compare the widths of what blinks in the parts of a field.

    Args:
        blocks: of `part_moments`.

    Returns:
        The widths; None where too little blinks to know them.
    """
    if len(blocks) < MIN_BLOCKS:
        return None
    moments = np.stack(blocks)
    stretched = _stretched(moments.sum((0, 1, 2)))
    if stretched is None:
        return None
    count, (amplitude, change, _) = len(blocks), np.moveaxis(moments @ np.linalg.pinv(stretched), -1, 0)
    light = np.where((whole := amplitude.sum(0)) > 0, whole, np.nan)
    widening = change.sum(0) / light
    error = np.sqrt(np.square((change - widening * amplitude) / light).sum(0) * count / (count - 3))
    known = error < MAX_WIDTH_ERROR
    if known.sum() < 2:
        return None
    widths = np.full(known.shape, np.nan)
    widths[known] = np.exp(_beyond_chance(widening[known], error[known] ** 2))
    return PsfVariation(widths)


def _product(change: Array, lag: Array, rows: Array, columns: Array) -> Array:
    """Sum products of pixels a lag apart over the parts of the field.

    Args:
        change: (pairs, H, W).
        lag: (dy, dx), dy >= 0.
        rows: (rows, H - dy) weights of the points midway between the pixels.
        columns: (columns, W - |dx|) likewise.

    Returns:
        (rows, columns).
    """
    dy, dx = lag
    here = change[:, : change.shape[1] - dy, max(0, -dx) : change.shape[2] - max(0, dx)]
    there = change[:, dy:, max(0, dx) : change.shape[2] - max(0, -dx)]
    return np.asarray(rows @ np.einsum("tyx,tyx->yx", here, there) @ columns.T)


@lru_cache(maxsize=64)
def _weights(side: int, lag: int) -> Array:
    """Return the weights of points midway between pixels in each part.

    They fade from part to part and add up to 1, except at the edges of the field.

    Args:
        side: pixels of the field along an axis.
        lag: pixels from one to the other along it.

    Returns:
        (parts, side - lag).
    """
    parts = min(max(side // PART_PX, 1), MAX_PARTS)
    at = np.arange(side - lag) + (1 + lag) / 2
    distance = np.clip(at * parts / side - 0.5, 0, parts - 1) - np.arange(parts)[:, None]
    inside = np.minimum(np.minimum(at, side - at) / FADE_PX, 1)
    return np.asarray(np.cos(0.5 * np.pi * np.clip(distance, -1, 1)) ** 2 * np.sin(0.5 * np.pi * inside) ** 2)


def _stretched(total: Array) -> Array | None:
    """Return what the moments of a part are made of: (3, lags).

    Args:
        total: (lags,) moments of the whole field.

    Returns:
        Those of the field, how they change with the logarithm of the PSF's width, as of a Gaussian, and a constant.
        None where nothing blinks.
    """
    of_field = np.zeros(len(LAGS))
    of_field[NEAR_LAGS] = total[NEAR_LAGS] - total[FAR_LAGS].mean()
    seen = of_field > MIN_SHARE * max(of_field.max(), 0.0)
    if seen.sum() < MIN_LAGS:
        return None
    slope = np.polyfit(DISTANCE2[seen], np.log(of_field[seen]), 1, w=of_field[seen])[0]
    return np.stack([of_field, -2 * slope * DISTANCE2 * of_field, np.ones(len(LAGS))])


def _beyond_chance(values: Array, variances: Array) -> Array:
    """Return how values differ beyond chance, each shrunk by its own error.

    Reference: DerSimonian and Laird 1986, for the variance of the true values.
    """
    weights = 1 / variances
    differences = values - np.average(values, weights=weights)
    free, chi2 = len(values) - 1, float(weights @ differences**2)
    if chi2 - free < MIN_Z * math.sqrt(2 * free):
        return np.zeros(len(values))
    variance = (chi2 - free) / (weights.sum() - weights @ weights / weights.sum())
    return np.asarray(differences * variance / (variance + variances))


def _place(number: np.intp, shape: tuple[int, ...]) -> str:
    """Name the place of a part in the field."""
    row, column = ((at + 0.5) / parts for at, parts in zip(np.unravel_index(number, shape), shape, strict=True))
    words = [WORDS_Y[int(3 * row)], WORDS_X[int(3 * column)]]
    return "at the " + " ".join(filter(None, words)) if any(words) else "in the middle"
