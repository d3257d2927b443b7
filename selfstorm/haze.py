"""Light from far out of focus that blinks: a smooth background that differs from frame to frame.

It makes pixels covary over many pixels, which stage A would take for structure.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.background import spline_basis
from selfstorm.emitters import batches
from selfstorm.operators import Grid, Imaging
from selfstorm.optics import Psf

KNOT_SPACING_PX = 6.0  # wider misses haze blurred by 400 nm, narrower takes dense emitters for haze
LAYERS = 15
PENALTY = 0.2  # on emitters: smooth light is background sooner than many emitters
FLOOR = 0.1  # of the prior: emitters that the density does not see
# As many pixels speak for the mean background as a frame's own do beside some 36 a knot.
STEADINESS_PX = 2.0
LEAST_PHOTONS = 1e-3


class Haze:
    """Frames as emitters, a map a pixel fine, and splines every 6 pixels, both nonnegative, for one field and PSF."""

    def __init__(self, psf: Psf, grid: Grid, like: Tensor) -> None:
        self._scale, self._coarse = grid.scale, Grid(grid.height, grid.width, 1, grid.pixel_nm)
        self._imaging = Imaging(psf, self._coarse, like)
        self._y = spline_basis(grid.height, like, KNOT_SPACING_PX)
        self._x = spline_basis(grid.width, like, KNOT_SPACING_PX)
        self._inverse_y, self._inverse_x = torch.linalg.pinv(self._y), torch.linalg.pinv(self._x)
        self._norm = self._y.sum(0)[:, None] * self._x.sum(0)

    def changes(self, y: Tensor, gains: Tensor, emitters: Tensor, background: Tensor) -> Tensor:
        """How the smooth light of y (T, H, W) photons differs from its mean: (T, H, W) photons at equal brightness.

        gains: (T, 1, 1), mean 1. emitters: (rows, columns) of the padded SR grid, photons a cell gives in a mean frame:
        where they are bright, light that changes is theirs. background: (H, W) photons of a mean frame.
        """
        binned = F.avg_pool2d(emitters[None, None], self._scale)[0, 0] * self._scale**2
        prior = binned / self._coarse.crop(binned).mean().clamp(min=1e-12)
        weight = PENALTY / ((prior + FLOOR) * self._imaging.norm)
        mean = self._inverse_y @ background @ self._inverse_x.T
        mean = mean.clamp(min=0.5 * float(background.min())).clamp(min=LEAST_PHOTONS)
        positive = y.clamp(min=0) + LEAST_PHOTONS
        parts = [
            self._fit(positive[part], binned.mean() * gains[part], mean * gains[part], weight)
            for part in batches(len(y), binned)
        ]
        smooth = self._y @ (torch.cat(parts) / gains) @ self._x.T
        return smooth - smooth.mean(0)

    def _fit(self, y: Tensor, start: Tensor, expected: Tensor, weight: Tensor) -> Tensor:
        """(T, knots, knots) photons: the splines of y (T, H, W) > 0, drawn a little towards those expected.

        Expectation maximisation under a gamma prior; the emitters' steps are over-relaxed like stage B's.
        """
        caught, knots = 1 / self._imaging.norm, expected
        x = start.expand(len(y), *self._coarse.cells).clone()
        for layer in range(LAYERS):
            ratio = (y / (self._imaging.forward(x) + self._y @ knots @ self._x.T)).clamp_(min=1e-4)
            q = self._imaging.adjoint(ratio).mul_(caught).clamp_(min=1e-6)
            ramp = min(1.0, (layer + 0.5) / (0.5 * LAYERS))
            knots = (knots * (self._y.T @ ratio @ self._x) + STEADINESS_PX * expected) / (self._norm + STEADINESS_PX)
            x.mul_(q).mul_(q.sqrt()).mul_(1 / (1 + ramp * weight))
        return knots
