"""The smooth light behind the emitters: a nonnegative cubic spline, fitted together with the density's brightness."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor

KNOT_SPACING_PX = 13.0
LEAST_KNOTS = 5
ROUNDS = 60


def spline_basis(pixels: int, like: Tensor, spacing_px: float = KNOT_SPACING_PX) -> Tensor:
    """(pixels, knots) cubic B-splines, a knot every spacing_px camera pixels or so, at least 5."""
    knots = max(LEAST_KNOTS, round(pixels / spacing_px) + 2)
    breaks = np.r_[[0.0] * 3, np.linspace(0, pixels, knots - 2), [float(pixels)] * 3]
    basis = BSpline.design_matrix(np.arange(pixels) + 0.5, breaks, 3).toarray()
    return torch.as_tensor(basis).to(like.dtype).to(like.device)


def fit_background(mean: Tensor, emitters: Tensor) -> tuple[Tensor, Tensor]:
    """Fit mean = c * emitters + background by multiplicative (expectation-maximisation) updates.

    mean: (H, W) photons. emitters: (H, W), what the density puts on the camera, any unit. Returns (c, background):
    a scalar and (H, W) photons, both >= 0.
    """
    along_y, along_x = spline_basis(mean.shape[0], mean), spline_basis(mean.shape[1], mean)
    floor = torch.quantile(mean, 0.1).clamp(min=1e-3)
    c = (mean - floor).clamp(min=0).mean() / emitters.mean()
    weights = torch.ones((along_y.shape[1], along_x.shape[1]), dtype=mean.dtype, device=mean.device) * floor
    norm = along_y.sum(0)[:, None] * along_x.sum(0)
    target = mean.clamp(min=1e-3)
    for _ in range(ROUNDS):
        ratio = target / (c * emitters + along_y @ weights @ along_x.T).clamp(min=1e-6)
        weights = weights * (along_y.T @ ratio @ along_x) / norm
        c = c * (emitters * ratio).sum() / emitters.sum()
    return c, along_y @ weights @ along_x.T
