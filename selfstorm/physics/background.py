"""Smooth background: a nonnegative cubic spline.

It is fitted together with the brightness of the density. Its knots are wide apart, so that it leaves structure to the
density, unless finer ones explain several times as much: at the edge of a cell.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from selfstorm.compute.cuda_graphs import Graphs

KNOT_SPACING_PX = 13.0
# Measured: finer knots bring the misfit down by a factor of 9 to 11 where the background has a steep edge, and by 1.1
# to 2.7 where all that they can fit is structure.
FINE_SPACING_PX = 4.0
MIN_FINE_GAIN = 4.5
MIN_KNOTS = 5
ITERATIONS = 60
MAX_QUANTILE_PIXELS = 2**24  # torch sorts no more at once; of larger fields every n-th pixel is taken


def spline_basis(pixels: int, like: Tensor, spacing_px: float = KNOT_SPACING_PX) -> Tensor:
    """Return cubic B-splines along one axis: (pixels, knots).

    Args:
        pixels: of the axis.
        like: a tensor of the device and dtype to return.
        spacing_px: camera pixels from knot to knot, about; there are at least MIN_KNOTS.
    """
    knots = max(MIN_KNOTS, round(pixels / spacing_px) + 2)
    breaks = np.r_[[0.0] * 3, np.linspace(0, pixels, knots - 2), [float(pixels)] * 3]
    basis = BSpline.design_matrix(np.arange(pixels) + 0.5, breaks, 3).toarray()
    return torch.as_tensor(basis).to(like.dtype).to(like.device)


class SplineSurface:
    """S: weights of cubic B-splines -> a smooth surface, S w = Y w X^T.

    The surface is nonnegative as its weights are.

    Attributes:
        norm: S^T 1, (rows, columns) of weights.
    """

    def __init__(self, height: int, width: int, like: Tensor, spacing_px: float = KNOT_SPACING_PX) -> None:
        self.along_y, self.along_x = (spline_basis(pixels, like, spacing_px) for pixels in (height, width))
        self.norm = self.along_y.sum(0)[:, None] * self.along_x.sum(0)

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate weights (..., rows, columns) on the field: (..., H, W)."""
        return self.along_y @ x @ self.along_x.T

    def adjoint(self, z: Tensor) -> Tensor:
        """Project the field (..., H, W) back: (..., rows, columns)."""
        return self.along_y.T @ z @ self.along_x


def fit_background(
    mean: Tensor,
    emitters: Tensor,
    splines: tuple[SplineSurface, SplineSurface] | None = None,
    graphs: Graphs | None = None,
) -> tuple[Tensor, Tensor]:
    """Fit mean = c * emitters + background.

    Args:
        mean: (H, W) photons.
        emitters: (H, W), the density as the camera sees it, any unit.
        splines: wide and fine ones of the field (`background_splines`); None to make them.
        graphs: CUDA graphs in which to record the steps; None to run them directly.

    Returns:
        c, a scalar, and the background, (H, W) photons; both >= 0.
    """
    surfaces = splines or background_splines(mean.shape[0], mean.shape[1], mean)

    def fitted(mean: Tensor, emitters: Tensor) -> tuple[Tensor, Tensor]:
        (c, wide), (fine_c, fine) = (fit_of_knots(mean, emitters, surface) for surface in surfaces)
        finer = _misfit(mean, c * emitters + wide) > MIN_FINE_GAIN * _misfit(mean, fine_c * emitters + fine)
        return torch.where(finer, fine_c, c), torch.where(finer, fine, wide)

    return fitted(mean, emitters) if graphs is None else graphs.run("background", fitted, mean, emitters)


def background_splines(height: int, width: int, like: Tensor) -> tuple[SplineSurface, SplineSurface]:
    """Make the surfaces that backgrounds are fitted with: wide and fine knots."""
    wide, fine = (SplineSurface(height, width, like, spacing) for spacing in (KNOT_SPACING_PX, FINE_SPACING_PX))
    return wide, fine


def _misfit(mean: Tensor, expected: Tensor) -> Tensor:
    return ((mean - expected) ** 2 / expected.clamp(min=1e-3)).mean()


def fit_of_knots(mean: Tensor, emitters: Tensor, splines: SplineSurface) -> tuple[Tensor, Tensor]:
    """Fit mean = c * emitters + background with knots of one spacing.

    By multiplicative steps of both parts (physics.multiplicative).
    """
    every = -(-mean.numel() // MAX_QUANTILE_PIXELS)
    floor = torch.quantile(mean.flatten()[::every], 0.1).clamp(min=1e-3)
    c = (mean - floor).clamp(min=0).mean() / emitters.mean()
    weights = torch.ones_like(splines.norm) * floor
    target = mean.clamp(min=1e-3)
    for _ in range(ITERATIONS):
        # both parts share one ratio of data to model, so that neither explains what the other has explained
        ratio = target / (c * emitters + splines.forward(weights)).clamp(min=1e-6)
        weights = weights * splines.adjoint(ratio) / splines.norm
        c = c * (emitters * ratio).sum() / emitters.sum()
    return c, splines.forward(weights)
