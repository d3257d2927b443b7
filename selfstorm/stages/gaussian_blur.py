"""Gaussian blur of maps, their edges repeated."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor


@cache  # never dropped: CUDA graphs read it where it is
def gaussian_kernel(sd: float, reach: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return a Gaussian with a sum of 1, (2 * reach + 1,).

    Args:
        sd: standard deviation, cells.
        reach: cells on each side of the middle.
        device: of the result.
        dtype: of the result.
    """
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=device, dtype=dtype) / sd) ** 2)
    return kernel / kernel.sum()


def blur(z: Tensor, kernel: Tensor) -> Tensor:
    """Blur a map (H, W) by a kernel along both axes."""
    padded = F.pad(z[None, None], (len(kernel) // 2,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[0, 0]
