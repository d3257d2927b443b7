"""Cubic B-splines along an axis of a field."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor

MIN_KNOTS = 5


def spline_basis(pixels: int, like: Tensor, spacing_px: float) -> Tensor:
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
