"""Field moments, determined by the PSF: products of pixels d apart.

Summed over the field, the covariance between pixels d apart is proportional to the PSF's autocorrelation at d,
wherever the emitters are: R(d) = a * rho(d) + constant. First differences in time remove what moves or bleaches
slowly, and the mean frame is projected out of every frame, so that a flickering lamp leaves no trace of the
structure it lights. Lag 0 is left out, because shot noise and read noise contribute there alone.

An autocorrelation is that of the PSF turned by 180 degrees too, and that of a PSF with a halo is that of one without
in blinking haze. The third moments distinguish them: T(d) = sum over p of c(p)^2 c(p + d), with c a frame less the
mean one. Emitters are seldom on, so that c is skewed. Shot noise adds a multiple of R to T; it cancels in T(d) - T(-d).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

from selfstorm.errors import InputError
from selfstorm.frames import Array

REACH_PX = 4
FIELD_LAGS = np.array(
    [(dy, dx) for dy in range(REACH_PX + 1) for dx in range(-REACH_PX, REACH_PX + 1) if (dy, dx) > (0, 0)]
)
MIN_SIDE_PX = 4 * REACH_PX
EDGE_PX = 6  # measured: with it, results of fields of 32 x 32 scatter a fifth less
BLOCK_PAIRS = 8  # of frames: emitters that stay on tie blocks together, and error bars from shorter ones were too small
MIN_BLOCKS, MAX_BLOCKS = 8, 128  # blocks of single pairs where frames are few
# In a call to `add`, and for every frame of it: more would be slow, and few frames of a large field suffice.
MAX_PIXELS, MAX_PIXELS_PER_FRAME = 4_000_000, 40_000


class FieldMoments:
    """Moments of a stream, added up over its frames in bounded memory.

    The error bars come from differences between blocks of frame pairs; where there are too many blocks, neighbours are
    joined.

    Attributes:
        seconds: (K, 40) R at FIELD_LAGS per pixel, summed over the pairs of each block.
        thirds: (K, 80) T likewise, at FIELD_LAGS and at -FIELD_LAGS.
        pairs: (K,) number of pairs of each block.
    """

    def __init__(self, seconds: Array | None = None, thirds: Array | None = None, pairs: Array | None = None) -> None:
        lags = len(FIELD_LAGS)
        self.seconds = np.array(np.zeros((0, lags)) if seconds is None else seconds, np.float64)
        self.thirds = np.array(np.zeros((0, 2 * lags)) if thirds is None else thirds, np.float64)
        self.pairs = np.zeros(0) if pairs is None else np.array(pairs, np.float64)
        blocks = len(self.pairs)
        if self.seconds.shape != (blocks, lags) or self.thirds.shape != (blocks, 2 * lags):
            raise InputError(
                f"moments of shapes {self.seconds.shape} and {self.thirds.shape} for {blocks} blocks", where="moments"
            )

    def add(self, frames: Array) -> FieldMoments:
        """Add frames, none of them twice.

        Args:
            frames: (T, H, W) in any linear unit, the same for all calls; fields below MIN_SIDE_PX add nothing.

        Returns:
            The moments of these frames alone.
        """
        if len(frames) < 2 or min(frames.shape[1:]) < MIN_SIDE_PX:
            return FieldMoments()
        first = first_of_pairs(frames)
        mean = frames.mean(0, dtype=np.float64)
        min_parts = max(1, min(len(first), MIN_BLOCKS - len(self.pairs)))
        parts = np.array_split(first, max(min_parts, len(first) // BLOCK_PAIRS))
        new = [_products(frames[part].astype(np.float64), frames[part + 1].astype(np.float64), mean) for part in parts]
        seconds, thirds = (np.stack(each) for each in zip(*new, strict=True))
        added = FieldMoments(seconds, thirds, np.array([len(part) for part in parts]))
        self.join(added)
        return added

    def join(self, other: FieldMoments) -> None:
        """Add the moments of other frames in the same unit."""
        self.seconds = np.concatenate([self.seconds, other.seconds])
        self.thirds = np.concatenate([self.thirds, other.thirds])
        self.pairs = np.concatenate([self.pairs, other.pairs])
        while len(self.pairs) > MAX_BLOCKS:
            starts = np.arange(0, len(self.pairs), 2)
            self.seconds, self.thirds, self.pairs = (
                np.add.reduceat(sums, starts) for sums in (self.seconds, self.thirds, self.pairs)
            )

    @property
    def mean(self) -> Array:
        """R at FIELD_LAGS, (40,)."""
        return np.asarray(self.seconds.sum(0) / self.pairs.sum())

    @property
    def covariance(self) -> Array:
        """Covariance of `mean`, (40, 40), from differences between the blocks.

        It needs at least four blocks, and is widened if there are few.
        """
        blocks = len(self.pairs)
        deviations = self.seconds - self.pairs[:, None] * self.mean
        return np.asarray(deviations.T @ deviations * (blocks / (blocks - 3)) / self.pairs.sum() ** 2)

    def standard_errors(self, pattern: Array) -> float:
        """Measure by how many standard errors T differs from zero.

        It needs at least two blocks.

        Args:
            pattern: (80,) along which T is projected.
        """
        along = self.thirds @ pattern
        spread = along - self.pairs * (along.sum() / self.pairs.sum())
        return float(along.sum() / max(np.linalg.norm(spread), 1e-300))

    @property
    def mean_third(self) -> Array:
        """T at FIELD_LAGS and at -FIELD_LAGS, (80,)."""
        return np.asarray(self.thirds.sum(0) / self.pairs.sum())

    def halves(self) -> tuple[FieldMoments, FieldMoments]:
        """Return the earlier and the later blocks."""
        middle = len(self.pairs) // 2
        early, late = slice(None, middle), slice(middle, None)
        first, second = (FieldMoments(self.seconds[b], self.thirds[b], self.pairs[b]) for b in (early, late))
        return first, second

    def state(self) -> dict[str, Array]:
        """Return the arguments from which the constructor makes the same moments."""
        return {"seconds": self.seconds, "thirds": self.thirds, "pairs": self.pairs}


def first_of_pairs(frames: Array) -> Array:
    """Choose pairs of consecutive frames, all or as many as are fast.

    Args:
        frames: (T, H, W), T >= 2.

    Returns:
        (pairs,) index of the first frame of each.
    """
    step = math.ceil((len(frames) - 1) * frames[0].size / min(MAX_PIXELS, len(frames) * MAX_PIXELS_PER_FRAME))
    return np.arange(0, len(frames) - 1, step)


def _products(before: Array, after: Array, mean: Array) -> tuple[Array, Array]:
    """Sum R and T per pixel over pairs of frames.

    Args:
        before: (N, H, W), first frame of each pair.
        after: (N, H, W), second frame of each pair.
        mean: (H, W), of all frames.

    Returns:
        R at FIELD_LAGS, (40,), and T at FIELD_LAGS and at -FIELD_LAGS, (80,).
    """
    _, height, width = before.shape
    shape, window, seen = _field(height, width)
    pattern = mean - mean.mean()
    power = float((pattern * pattern).sum()) or 1.0

    def transformed(values: Array) -> Array:
        return np.asarray(rfft2(values.astype(np.float32), shape))

    def fluctuation(values: Array) -> Array:
        centred = values - values.mean((1, 2), keepdims=True)
        return np.asarray(window * (centred - np.tensordot(centred, pattern, 2)[:, None, None] / power * pattern))

    difference = transformed(fluctuation((after - before) / np.sqrt(2)))
    c = fluctuation(before - mean)
    second = irfft2((np.abs(difference) ** 2).sum(0, dtype=np.float64), shape)
    third = irfft2((transformed(c * c).conj() * transformed(c)).sum(0, dtype=np.complex128), shape)
    lag_y, lag_x = FIELD_LAGS.T
    return second[lag_y, lag_x] / seen, np.r_[third[lag_y, lag_x] / seen, third[-lag_y, -lag_x] / seen]


@lru_cache(maxsize=4)
def _field(height: int, width: int) -> tuple[tuple[int, int], Array, Array]:
    """Prepare the transforms of a field.

    Returns:
        Shape of the transforms, (H, W) weights of the pixels, and (40,) weight of the field at each lag.
    """
    shape = next_fast_len(height + REACH_PX, True), next_fast_len(width + REACH_PX, True)
    window = _fading(height)[:, None] * _fading(width)
    lag_y, lag_x = FIELD_LAGS.T
    return shape, window, irfft2(np.abs(rfft2(window, shape)) ** 2, shape)[lag_y, lag_x]


def _fading(pixels: int) -> Array:
    """Return weights (pixels,): 1 in the middle, 0 at the edges.

    Half a spot at an edge would count as a narrow one.
    """
    inside = np.minimum(np.arange(pixels) + 0.5, np.arange(pixels)[::-1] + 0.5)
    return np.asarray(np.sin(0.5 * np.pi * np.minimum(inside / EDGE_PX, 1)) ** 2)
