"""Restore pixels that the camera's converter clipped.

A saturated value says 'at least': what the pixel would have shown follows from the pixels around it and the PSF. Each
frame is fitted as emitters on cells of half a pixel and a constant, with the censored Poisson likelihood: where a
saturated pixel is expected to be brighter than its value, the expectation takes its place.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selfstorm.compute.batching import CPU_MAP_BYTES, batches
from selfstorm.physics.operators import Grid, Imaging
from selfstorm.psf.models import Psf

SCALE = 2  # measured: 1 gains .03 in Pearson correlation, 2 gains .05, of the .07 lost
ITERATIONS = 20
MIN_PHOTONS = 1e-3
DARK_QUANTILE = 0.1  # of a frame: its background to start from


def restore_saturated(
    y: Tensor, saturated: Tensor, psf: Psf, pixel_nm: float, map_bytes: int = CPU_MAP_BYTES
) -> Tensor:
    """Replace saturated values by those expected from neighbours and PSF.

    Args:
        y: (T, H, W) photons.
        saturated: (T, H, W) bool.
        psf: of the microscope.
        pixel_nm: camera pixel.
        map_bytes: of a batch.

    Returns:
        (T, H, W) photons: at saturated pixels no less than y, elsewhere y.
    """
    affected = saturated.flatten(1).any(1).nonzero()[:, 0]
    if not len(affected):
        return y
    imaging = Imaging(psf, Grid(y.shape[1], y.shape[2], SCALE, pixel_nm), y)
    out = y.clone()
    for part in batches(len(affected), imaging.norm, map_bytes):
        some = affected[part]
        out[some] = _restored(imaging, y[some], saturated[some])
    return out


def _restored(imaging: Imaging, y: Tensor, saturated: Tensor) -> Tensor:
    """Restore some frames (T, H, W), each with a saturated value."""
    positive, caught = y.clamp(min=0) + MIN_PHOTONS, 1 / imaging.norm
    level = torch.quantile(positive.flatten(1), DARK_QUANTILE, dim=1)[:, None, None].clamp(min=MIN_PHOTONS)
    start = (positive.mean((1, 2), keepdim=True) - level).clamp(min=MIN_PHOTONS) / imaging.grid.scale**2
    x = start.expand(len(y), *imaging.norm.shape).clone()
    seen = imaging.forward(x) + level
    for _ in range(ITERATIONS):
        data = torch.where(saturated, torch.maximum(positive, seen), positive)
        ratio = data / seen
        q = imaging.adjoint(ratio).mul_(caught).clamp_(min=1e-6)
        x.mul_(q).mul_(q.sqrt_())
        level = level * ratio.mean((1, 2), keepdim=True)
        seen = imaging.forward(x) + level
    return torch.where(saturated, torch.maximum(y, seen), y)
