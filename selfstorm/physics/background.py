"""Smooth background: a nonnegative cubic spline.

It is fitted together with the brightness of the density. Its knots are wide apart, so that it leaves structure to the
density, unless finer ones explain several times as much, and what they explain is wide: at the edge of a cell. There
the brightness is that of the finer ones, and the background is a spline that may bend (`physics.bending`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.physics.bending import BendingSurface, fit_bending
from selfstorm.physics.splines import spline_basis

KNOT_SPACING_PX = 13.0
# Measured: finer knots bring the misfit down by a factor of 9 to 11 where the background has a steep edge, and by 1.1
# to 2.7 where all that they can fit is structure.
FINE_SPACING_PX = 4.0
MIN_FINE_GAIN = 4.5
# Measured: of the power that finer knots add, parts narrower than this have .08 to .18 at an edge, and .65 to 1.2 where
# the knots follow steady structure, which is no background.
WIDE_PX = 9
MAX_NARROW_SHARE = 0.4
ITERATIONS = 60
MAX_BENDING_PIXELS = 2**18  # a bending fit of larger fields takes too long
MAX_QUANTILE_PIXELS = 2**24  # torch sorts no more at once; of larger fields every n-th pixel is taken


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


@dataclass(frozen=True)
class Surfaces:
    """Surfaces that the backgrounds of a field are fitted with.

    Attributes:
        wide: knots far apart.
        fine: knots near one another.
        bending: for a background with an edge; None in fields that are too large.
    """

    wide: SplineSurface
    fine: SplineSurface
    bending: BendingSurface | None

    @classmethod
    def of(cls, height: int, width: int, like: Tensor) -> Surfaces:
        """Make the surfaces of a field."""
        wide, fine = (SplineSurface(height, width, like, spacing) for spacing in (KNOT_SPACING_PX, FINE_SPACING_PX))
        return cls(wide, fine, BendingSurface(height, width, like) if height * width <= MAX_BENDING_PIXELS else None)


def fit_background(
    mean: Tensor, emitters: Tensor, frames: int, surfaces: Surfaces | None = None, graphs: Graphs | None = None
) -> tuple[Tensor, Tensor]:
    """Fit mean = c * emitters + background.

    Args:
        mean: (H, W) photons.
        emitters: (H, W), the density as the camera sees it, any unit.
        frames: number of frames behind the mean.
        surfaces: those of the field; None to make them.
        graphs: CUDA graphs in which to record the steps; None to run them directly.

    Returns:
        c, a scalar, and the background, (H, W) photons; both >= 0.
    """
    field = surfaces or Surfaces.of(mean.shape[0], mean.shape[1], mean)

    def fitted(mean: Tensor, emitters: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        (c, wide), (fine_c, fine) = (fit_of_knots(mean, emitters, surface) for surface in (field.wide, field.fine))
        better = _misfit(mean, c * emitters + wide) > MIN_FINE_GAIN * _misfit(mean, fine_c * emitters + fine)
        finer = better & (_narrow_share(fine, wide) < MAX_NARROW_SHARE)
        if mean.device.type == "cpu" and not finer:  # a graphics card would have to wait for the answer
            return c, wide
        edge = fine if field.bending is None else fit_bending(mean, fine_c * emitters, noise, field.bending)
        return torch.where(finer, fine_c, c), torch.where(finer, edge, wide)

    inputs = mean, emitters, mean / frames
    return fitted(*inputs) if graphs is None else graphs.run("background", fitted, *inputs)


def _misfit(mean: Tensor, expected: Tensor) -> Tensor:
    return ((mean - expected) ** 2 / expected.clamp(min=1e-3)).mean()


def _narrow_share(fine: Tensor, wide: Tensor) -> Tensor:
    """Measure the share of narrow parts in what a wide surface lacks.

    Narrow is what an opening by squares of WIDE_PX removes. It leaves a step as it is.
    """
    hollows = -F.max_pool2d(-fine[None], WIDE_PX, 1, WIDE_PX // 2)
    opened = F.max_pool2d(hollows, WIDE_PX, 1, WIDE_PX // 2)[0]
    return (fine - opened).square().sum() / (fine - wide).square().sum().clamp(min=1e-12)


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
