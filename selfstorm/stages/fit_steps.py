"""Steps of the joint fit: residuals, prior, and moves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp
from selfstorm.physics.operators import Grid
from selfstorm.psf.canvas import Canvas
from selfstorm.psf.patch_layout import WindowPlaces
from selfstorm.psf.profiles import Profiles
from selfstorm.psf.rendering import Windows

OVER_RELAXATION = 1.5
MOMENTUM = 0.7
MAX_STEP_PX = 0.15
PRIOR_FLOOR = 0.1
CURVATURE_EVERY = 8  # steps: the surrogates change slowly


def prior_slopes(density: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return the slope of the log density, per camera pixel.

    Returns:
        Along y and along x, (rows, columns) each.
    """
    log = torch.log(density / grid.crop(density).mean().clamp(min=1e-20) + PRIOR_FLOOR)
    along_y, along_x = torch.gradient(log)
    return along_y * grid.scale, along_x * grid.scale


def slopes_at(
    slope_y: Tensor, slope_x: Tensor, y_px: Tensor, x_px: Tensor, pad_px: int, scale: int
) -> tuple[Tensor, Tensor]:
    """Look up two maps (rows, columns) of the padded grid at positions."""
    rows, columns = slope_y.shape
    i = ((y_px + pad_px) * scale).long().clamp(0, rows - 1)
    j = ((x_px + pad_px) * scale).long().clamp(0, columns - 1)
    place = i * columns + j
    return slope_y.flatten()[place], slope_x.flatten()[place]


def residual(
    spots: Tensor, background: Tensor, min_expected: Tensor, inside: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Compare frames with what is expected, on the canvas.

    Args:
        spots: (T, rows, columns) photons of all emitters; overwritten.
        background: photons; this and all others of the same shape.
        min_expected: lower bound of the expected photons.
        inside: 1 within the field, else 0.
        y: photons of the frames.

    Returns:
        1 / expected photons, 0 outside the field, and the slope of the likelihood.
    """
    spots.add_(background)
    ratio = inside / torch.maximum(spots, min_expected, out=spots)
    return ratio, y * ratio - inside


def moved(
    n: Tensor,
    y: Tensor,
    x: Tensor,
    drift_y: Tensor,
    drift_x: Tensor,
    pull_n: Tensor,
    pull_y: Tensor,
    pull_x: Tensor,
    curve_n: Tensor,
    curve_y: Tensor,
    curve_x: Tensor,
    slope_y: Tensor,
    slope_x: Tensor,
    prior_curve: Tensor,
    pad_px: int,
    scale: int,
    height: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Make one step of the surrogates.

    Args:
        n: photons; this and all other tensors but the last three are (windows, SLOTS).
        y: position from the field's corner, pixels.
        x: position from the field's corner, pixels.
        drift_y: last move along y, pixels.
        drift_x: last move along x, pixels.
        pull_n: gradient of the likelihood in photons.
        pull_y: gradient in y, per photon.
        pull_x: gradient in x, per photon.
        curve_n: curvature of the surrogate in photons.
        curve_y: curvature in y, per photon.
        curve_x: curvature in x, per photon.
        slope_y: (rows, columns) of the padded grid, slope of the prior along y.
        slope_x: likewise along x.
        prior_curve: a scalar, curvature of the prior.
        pad_px: distance outside the field up to which emitters may be.
        scale: SR cells along a camera pixel.
        height: of the field.
        width: of the field.

    Returns:
        Photons, positions, and the moves along y and x.
    """
    slope_y, slope_x = slopes_at(slope_y, slope_x, y, x, pad_px, scale)
    move_y = OVER_RELAXATION * (n * pull_y + slope_y) / (curve_y * n + prior_curve) + MOMENTUM * drift_y
    move_x = OVER_RELAXATION * (n * pull_x + slope_x) / (curve_x * n + prior_curve) + MOMENTUM * drift_x
    drift_y, drift_x = move_y.clamp(-MAX_STEP_PX, MAX_STEP_PX), move_x.clamp(-MAX_STEP_PX, MAX_STEP_PX)
    n = (n + OVER_RELAXATION * pull_n / curve_n).clamp(n / 2, n * 2).clamp(min=1.0) * (n > 0)
    low, edge = -float(pad_px), pad_px - 1e-3
    y, x = (y + drift_y).clamp(low, height + edge), (x + drift_x).clamp(low, width + edge)
    return n, y, x, drift_y, drift_x


_residual, _moved = CompiledOp(residual), CompiledOp(moved)


def fitted(
    steps: int,
    tables: Profiles,
    canvas: Canvas,
    scale: int,
    places: WindowPlaces,
    start: Sequence[Tensor],
    light: Sequence[Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Make over-relaxed steps of the separable surrogates.

    Args:
        steps: number of steps.
        tables: profiles of the PSF in a window.
        canvas: of the frames.
        scale: SR cells along a camera pixel.
        places: of the windows.
        start: y, x and photons of the emitters, (windows, SLOTS) each.
        light: background, min_expected, inside and y of `residual`; slopes of the prior along y and x, and their
            curvature.

    Returns:
        y, x and photons, (windows, SLOTS) each.
    """
    y, x, n = start
    *frames, slope_y, slope_x, prior_curve = light
    drift_y, drift_x = torch.zeros_like(y), torch.zeros_like(x)
    for step in range(steps):
        model = Windows(tables, places, y, x)
        ratio, slope = _residual(model.add(n), *frames)
        if step % CURVATURE_EVERY == 0:
            curve_n, curve_y, curve_x = model.curvatures(n, ratio)
        pulls = model.gradients(slope)
        pulled = *pulls, curve_n, curve_y, curve_x, slope_y, slope_x, prior_curve
        n, y, x, drift_y, drift_x = _moved(n, y, x, drift_y, drift_x, *pulled, canvas.pad_px, scale, *canvas.field)
    return y, x, n
