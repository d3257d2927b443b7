"""Emitters that never blink: the density, which is made of fluctuations, does not see them."""

from __future__ import annotations

from torch import Tensor

from selfstorm.physics.operators import Imaging

SIGNIFICANT_Z = 5.0


def static_emitters(imaging: Imaging, mean: Tensor, expected: Tensor, frames: int, scale: int) -> Tensor:
    """(rows, columns) photons per SR cell and frame that the mean frame holds beyond what is expected.

    mean, expected: (H, W) photons: the mean of `frames` frames, and what density and background make of it. Only what
    exceeds it by 5 standard errors counts, spread out by the PSF: where stage B may look, not a picture.
    """
    error = (mean.clamp(min=0) / frames).sqrt()
    excess = (mean - expected - SIGNIFICANT_Z * error).clamp(min=0)
    return imaging.adjoint(excess) / imaging.norm / scale**2
