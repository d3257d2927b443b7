"""Bad pixels of a calibrated camera, interpolated from good ones.

What a microscope images is smooth on the scale of its PSF, so a pixel's light follows from its neighbours': the best
linear prediction for light with the autocorrelation of a PSF of one pixel. A predicted pixel repeats noise of its
neighbours, which covariances would take for blinking emitters: how much is known, and is subtracted from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.physics.operators import LAGS

REACH_PX = 2
PSF_SIGMA_PX = 1.0  # sampled at the Nyquist rate, about: wider ones are smoother still
NOISE_SHARE = 0.1  # of the light's variance: more smooths more
LEVEL_VARIANCE = 10.0  # of the light's variance: the mean level is not known, so that the weights add up to 1, about
SOLVED_TOGETHER = 4096  # bad pixels: their matrices take 20 MB
AROUND = np.array(
    [(y, x) for y in range(-REACH_PX, REACH_PX + 1) for x in range(-REACH_PX, REACH_PX + 1) if (y, x) != (0, 0)]
)


@dataclass(frozen=True, eq=False)
class BadPixels:
    """Bad pixels of a field (H, W), and how to predict them.

    Attributes:
        shape: (H, W).
        at: (B,) flat indices of the bad pixels.
        sources: (B, 24) flat indices of the pixels around each.
        weights: (B, 24) float32, their weights; 0 for those that are bad or outside.
    """

    shape: tuple[int, int]
    at: Array
    sources: Array
    weights: Array

    @classmethod
    def of(cls, bad: Array) -> BadPixels:
        """Find the weights for a map of bad pixels, (H, W) bool."""
        height, width = bad.shape
        y, x = np.nonzero(bad)
        near_y, near_x = y[:, None] + AROUND[:, 0], x[:, None] + AROUND[:, 1]
        inside = (near_y >= 0) & (near_y < height) & (near_x >= 0) & (near_x < width)
        near_y, near_x = near_y.clip(0, height - 1), near_x.clip(0, width - 1)
        good = inside & ~bad[near_y, near_x]
        parts = np.array_split(good, max(1, -(-len(good) // SOLVED_TOGETHER)))
        weights = np.concatenate([_weights(part) for part in parts])
        return cls((height, width), y * width + x, near_y * width + near_x, weights)

    def interpolate(self, frames: Array) -> None:
        """Predict the bad pixels of frames (T, H, W) float32, in place."""
        if not len(self.at):
            return
        pixels = frames.reshape(len(frames), -1)
        predicted = np.zeros((len(frames), len(self.at)), np.float32)
        for source, weight in zip(self.sources.T, self.weights.T, strict=True):
            predicted += pixels[:, source] * weight
        pixels[:, self.at] = predicted

    def repeated_noise(self, variance: Tensor) -> Tensor:
        """Compute the covariance that predicted pixels share with others.

        Args:
            variance: (H, W) photons^2, of the noise of each pixel.

        Returns:
            (lags, H, W) photons^2, between p and p + lag.
        """
        place, source, factor = (torch.as_tensor(each, device=variance.device) for each in self._shared)
        flat = variance.new_zeros(len(LAGS) * variance.numel())
        flat.index_add_(0, place, factor.to(variance.dtype) * variance.flatten()[source])
        return flat.view(len(LAGS), *self.shape)

    @cached_property
    def _shared(self) -> tuple[Array, Array, Array]:
        """Entries of the matrix from variances to shared covariances.

        Each pixel is a sum over sources, a good one of itself alone; two of them share the sources that are in both.
        """
        height, width = self.shape
        row_of = np.full(height * width, -1)
        row_of[self.at] = np.arange(len(self.at))
        entries = []
        for number, (dy, dx) in enumerate(LAGS):
            for sign in (1, -1):  # the bad pixel is p, or p + lag
                y, x = self.at // width + sign * dy, self.at % width + sign * dx
                rows = np.flatnonzero((y >= 0) & (y < height) & (x >= 0) & (x < width))
                other = (y * width + x)[rows]
                first = self.at[rows] if sign == 1 else other
                both_bad = row_of[other] >= 0
                match = (self.sources[rows] == other[:, None]) & ~both_bad[:, None]
                row, column = np.nonzero(match)
                entries.append((number * height * width + first[row], other[row], self.weights[rows[row], column]))
                if sign == -1:
                    continue  # pairs of two bad pixels were counted from the first one
                one, two = rows[both_bad], row_of[other[both_bad]]
                common = self.sources[one][:, :, None] == self.sources[two][:, None, :]
                pair, i, j = np.nonzero(common)
                products = self.weights[one[pair], i] * self.weights[two[pair], j]
                entries.append((number * height * width + self.at[one[pair]], self.sources[one[pair], i], products))
        place, source, factor = (np.concatenate(each) for each in zip(*entries, strict=True))
        some = factor != 0
        return place[some], source[some], factor[some]


def _weights(good: Array) -> Array:
    """Solve for the weights of good pixels (N, 24) bool: float32."""
    apart = AROUND[:, None] - AROUND
    between = _covariance((apart**2).sum(-1)) + NOISE_SHARE * np.eye(len(AROUND))
    towards = _covariance((AROUND**2).sum(-1))
    used = good[:, :, None] & good[:, None, :]
    matrices = np.where(used, between, np.eye(len(AROUND)))
    right = np.where(good, towards, 0.0)
    return np.linalg.solve(matrices, right[:, :, None])[:, :, 0].astype(np.float32)


def _covariance(squared_px: Array) -> Array:
    """Return the covariance of light at some squared distance."""
    return np.asarray(np.exp(-squared_px / (4 * PSF_SIGMA_PX**2)) + LEVEL_VARIANCE)
