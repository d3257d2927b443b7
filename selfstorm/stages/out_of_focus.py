"""Light from far out of focus that blinks: a background for each frame.

It is smooth, but differs from frame to frame. It makes pixels covary over many pixels, which stage A would take for
structure.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.compute.batching import CPU_MAP_BYTES, batches, frames_together
from selfstorm.compute.compiled import CompiledOp
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.compute.device import precise
from selfstorm.physics.background import SplineSurface
from selfstorm.physics.operators import Grid, Imaging
from selfstorm.physics.splines import spline_basis
from selfstorm.psf.models import Psf
from selfstorm.stages.covariances import TREND_FRAMES, neighbours, within
from selfstorm.stages.stage import Batch, Run, Sample, Stage

KNOT_SPACING_PX = 6.0  # wider misses a blur of 400 nm, narrower mistakes dense emitters for background
ITERATIONS = 15
PENALTY = 0.2  # on emitters: smooth light is background sooner than many emitters
FLOOR = 0.1  # of the prior: emitters that the density does not see
# The mean background counts for at least as much as this many of the 36 pixels or so of a knot.
MIN_STEADINESS_PX = 2.0
FAR_LAGS = ((0, 5), (5, 0), (4, 4), (4, -4))  # beyond the reach of emitters in focus
MIN_PHOTONS = 1e-3
# Frames allocated at once: per frame held, per frame of a batch, per mode of such a frame.
HELD_COPIES, BATCH_FRAMES, MODE_FRAMES = 3, 5, 3


class OutOfFocusBackground:
    """Model of frames as emitters and a smooth background, for one field.

    The emitters are a map with cells of a pixel, the background splines with a knot every 6 pixels; both are
    nonnegative.
    """

    def __init__(self, psf: Psf, grid: Grid, like: Tensor) -> None:
        self._scale, self._coarse = grid.scale, Grid(grid.height, grid.width, 1, grid.pixel_nm)
        self._imaging = Imaging(psf, self._coarse, like)
        self._splines = SplineSurface(grid.height, grid.width, like, KNOT_SPACING_PX)
        # inverted on the CPU: not every device has the decomposition, and splines are small
        on_cpu = torch.zeros((), dtype=like.dtype)
        along_axes = (spline_basis(pixels, on_cpu, KNOT_SPACING_PX) for pixels in (grid.height, grid.width))
        self._inverse_y, self._inverse_x = (torch.linalg.pinv(one).to(like.device) for one in along_axes)

    def fit(
        self,
        y: Tensor,
        gains: Tensor,
        emitters: Tensor,
        background: Tensor,
        varies: Tensor,
        map_bytes: int = CPU_MAP_BYTES,
        graphs: Graphs | None = None,
    ) -> Tensor:
        """Fit the smooth background of every frame.

        Args:
            y: (T, H, W) photons.
            gains: (T, 1, 1) brightness, mean 1.
            emitters: (rows, columns) of the padded SR grid, photons of a cell in a mean frame: where they are bright,
                changes are attributed to them.
            background: (H, W) photons of a mean frame.
            varies: a scalar, photons^2, variance of the background from frame to frame (far_covariance).
            map_bytes: of a batch.
            graphs: CUDA graphs of the same PSF and grid; None for none.

        Returns:
            (T, rows, columns) weights of splines, at equal brightness.
        """
        binned = F.avg_pool2d(emitters[None, None], self._scale)[0, 0] * self._scale**2
        return self.fit_binned(y, gains, binned, background, varies, map_bytes, graphs)

    def fit_binned(
        self,
        y: Tensor,
        gains: Tensor,
        binned: Tensor,
        background: Tensor,
        varies: Tensor,
        map_bytes: int,
        graphs: Graphs | None = None,
    ) -> Tensor:
        """Fit with emitters summed over camera pixels of the padded grid.

        See `fit`.
        """
        prior = binned / self._coarse.crop(binned).mean().clamp(min=1e-12)
        weight = PENALTY / ((prior + FLOOR) * self._imaging.norm)
        mean = self._inverse_y @ background @ self._inverse_x.T
        mean = torch.maximum(mean, 0.5 * background.min()).clamp(min=MIN_PHOTONS)
        steadiness = (2 * precise(background.mean()) / varies.clamp(min=1e-6)).clamp(min=MIN_STEADINESS_PX)
        positive = y.clamp(min=0) + MIN_PHOTONS
        parts = []
        for part in batches(len(y), binned, map_bytes):
            inputs = positive[part], binned.mean() * gains[part], mean * gains[part], weight, steadiness
            parts.append(self._fit(*inputs) if graphs is None else graphs.run("out of focus", self._fit, *inputs))
        return torch.cat(parts) / gains

    @property
    def knots(self) -> tuple[int, int]:
        """Weights of the splines of a frame, (rows, columns)."""
        rows, columns = self._splines.norm.shape
        return rows, columns

    def evaluate(self, knots: Tensor) -> Tensor:
        """Evaluate splines (..., rows, columns) on the camera: (..., H, W)."""
        return self._splines.forward(knots)

    def evaluate_part(self, knots: Tensor, part: tuple[slice, slice]) -> Tensor:
        """Evaluate splines on a part of the camera, (..., h, w)."""
        return self._splines.along_y[part[0]] @ knots @ self._splines.along_x[part[1]].T

    def _fit(self, y: Tensor, start: Tensor, expected: Tensor, weight: Tensor, steadiness_px: Tensor) -> Tensor:
        """Fit the splines of a batch of frames, drawn towards the expected ones.

        Expectation maximisation under a gamma prior; the emitters' steps are over-relaxed like stage B's.

        Args:
            y: (T, H, W) photons > 0.
            start: (T, 1, 1) photons per cell of the emitters.
            expected: (T, knots, knots) photons, mean of the prior.
            weight: of the penalty on emitters.
            steadiness_px: strength of the prior, in pixels.

        Returns:
            (T, knots, knots) photons.
        """
        caught, knots = 1 / self._imaging.norm, expected
        x = start.expand(len(y), *self._coarse.cells).clone()
        for iteration in range(ITERATIONS):
            ratio = _ratio(y, self._imaging.forward(x), self.evaluate(knots))
            kept = 1 / (1 + min(1.0, (iteration + 0.5) / (0.5 * ITERATIONS)) * weight)
            spread = self._imaging.adjoint(ratio)
            knots = _knots(knots, self._splines.adjoint(ratio), steadiness_px, expected, self._splines.norm)
            x = _updated(x, spread, caught, kept)
        return knots


def ratio(y: Tensor, seen: Tensor, background: Tensor) -> Tensor:
    """Return y / (seen + background), (T, H, W), written into `seen`."""
    return torch.div(y, seen.add_(background), out=seen).clamp_(min=1e-4)


def updated(x: Tensor, spread: Tensor, caught: Tensor, kept: Tensor) -> Tensor:
    """Return x q^1.5 kept with q = spread caught, written into x; see stage B."""
    q = spread.mul_(caught).clamp_(min=1e-6)
    return x.mul_(q).mul_(q.sqrt_()).mul_(kept)


def updated_knots(knots: Tensor, spread: Tensor, steadiness_px: Tensor, expected: Tensor, norm: Tensor) -> Tensor:
    """Return the next weights of the splines.

    The gamma prior adds to the step as if steadiness_px pixels had shown the expected light.
    """
    return (knots * spread + steadiness_px * expected) / (norm + steadiness_px)


_ratio, _updated, _knots = CompiledOp(ratio), CompiledOp(updated), CompiledOp(updated_knots)


def far_covariance(c: Tensor) -> Tensor:
    """Measure the mean covariance of pixels at FAR_LAGS.

    Args:
        c: (T, H, W) photons without their trend.

    Returns:
        A scalar, photons^2.
    """
    height, width = c.shape[1:]
    lags = [(dy, dx) for dy, dx in FAR_LAGS if dy < height and abs(dx) < width]
    products = [(within(c, *lag) * neighbours(c, *lag)).mean() for lag in lags]
    mean = torch.stack(products).mean() if products else c.new_zeros(())
    return precise(mean) * len(c) / max(len(c) - 1, 1)


def _bytes(batch: Batch) -> int:
    """Count new frames and those before them, and one batch with its maps.

    The maps are coarse, with a cell per pixel.
    """
    grid = batch.imaging.grid
    coarse = (grid.height + 2 * grid.pad_px) * (grid.width + 2 * grid.pad_px)
    together = min(batch.new_frames, frames_together(coarse, batch.map_bytes))
    held = HELD_COPIES * (batch.new_frames + TREND_FRAMES)
    fitted = (BATCH_FRAMES + MODE_FRAMES * batch.imaging.separable.terms) * together
    return (held + fitted) * grid.frame_bytes


def _prepare(sample: Sample) -> Run:
    y, grid = sample.y, sample.imaging.grid
    background = OutOfFocusBackground(sample.psf, grid, y)
    gains, emitters, mean = y.new_ones((len(y), 1, 1)), y.new_ones(grid.cells), y.mean(0)
    return lambda iterations: background.fit(y, gains, emitters, mean, y.new_ones(()))


OUT_OF_FOCUS = Stage("out of focus", _bytes, _prepare)
