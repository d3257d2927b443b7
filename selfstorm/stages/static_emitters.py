"""Emitters that never blink, which the density does not see.

The density is made of fluctuations.
"""

from __future__ import annotations

from torch import Tensor

from selfstorm.physics.operators import Imaging

SIGNIFICANT_Z = 5.0


def static_emitters(
    imaging: Imaging, mean: Tensor, expected: Tensor, frames: int, scale: int, read_variance: Tensor | None = None
) -> Tensor:
    """Find light in the mean frame that density and background do not explain.

    It shows where stage B may look, and is not a picture: only light that exceeds SIGNIFICANT_Z standard errors counts,
    and it is spread by the PSF.

    Args:
        imaging: A.
        mean: (H, W) photons, of the frames.
        expected: (H, W) photons, from density and background.
        frames: number of frames.
        scale: SR cells along a camera pixel.
        read_variance: (H, W) photons^2, of each pixel beside its light's; None for none.

    Returns:
        (rows, columns) photons per SR cell and frame.
    """
    variance = mean.clamp(min=0) if read_variance is None else mean.clamp(min=0) + read_variance
    error = (variance / frames).sqrt()
    excess = (mean - expected - SIGNIFICANT_Z * error).clamp(min=0)
    return imaging.adjoint(excess) / imaging.norm / scale**2
