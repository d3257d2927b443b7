"""Background that bends: a penalised spline through dim pixels.

The light of emitters is known within a factor of two at best. So a pixel says as much about the background as little
of that light is expected in it, and under structures the background is interpolated.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.physics.splines import spline_basis

SPACING_PX = 2.0
# Second differences of the background from knot to knot over its mean level, each fit starting from the one before.
BENDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
ITERATIONS = 15  # for each of BENDS
LIGHT_ERROR = 0.5  # of the light expected from emitters
TINY = 1e-12


class BendingSurface:
    """Surfaces of smooth modes along both axes of a field.

    The modes are made at first use: few backgrounds have an edge.
    """

    def __init__(self, height: int, width: int, like: Tensor) -> None:
        self._shape, self._like = (height, width), like

    @cached_property
    def _axes(self) -> tuple[tuple[Tensor, Tensor], ...]:
        def of(part: Array) -> Tensor:
            return torch.as_tensor(part).to(self._like.dtype).to(self._like.device)

        return tuple((of(modes), of(roughness)) for modes, roughness in map(_smooth_modes, self._shape))

    @property
    def roughness(self) -> Tensor:
        """Roughness of each mode, (rows, columns)."""
        (_, rough_y), (_, rough_x) = self._axes
        return rough_y[:, None] + rough_x

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate weights (rows, columns) on the field: (H, W)."""
        (along_y, _), (along_x, _) = self._axes
        return along_y @ x @ along_x.T

    def adjoint(self, z: Tensor) -> Tensor:
        """Project the field (H, W) on the modes: (rows, columns)."""
        (along_y, _), (along_x, _) = self._axes
        return along_y.T @ z @ along_x


@lru_cache(maxsize=8)
def _smooth_modes(pixels: int) -> tuple[Array, Array]:
    """Return orthonormal splines along one axis by rising roughness.

    Returns:
        (pixels, modes), and the sum of squared second differences of each mode's coefficients.

    Reference:
        Demmler & Reinsch, Oscillation matrices with spline smoothing, Numerische Mathematik 24, 375 (1975).
    """
    splines = spline_basis(pixels, torch.zeros((), dtype=torch.float64), SPACING_PX).numpy()
    bends = np.diff(np.eye(splines.shape[1]), 2, axis=0)
    gram = splines.T @ splines
    roughness, modes = eigh(bends.T @ bends, gram + TINY * np.trace(gram) * np.eye(len(gram)))
    return splines @ modes, roughness.clip(0)


def fit_bending(mean: Tensor, light: Tensor, noise: Tensor, surface: BendingSurface) -> Tensor:
    """Fit mean = light + background by penalised least squares.

    Args:
        mean: (H, W) photons.
        light: (H, W) photons expected from emitters.
        noise: (H, W) photons^2, shot noise of the mean.
        surface: of the field.

    Returns:
        (H, W) photons >= 0.
    """
    weight = 1 / (noise.clamp(min=TINY) + (LIGHT_ERROR * light) ** 2)
    level = mean.mean().clamp(min=TINY)
    x = torch.zeros_like(surface.roughness)
    for bend in BENDS:
        x = _solved(mean - light, weight, surface, surface.roughness / (bend * level) ** 2, x)
    return surface.forward(x).clamp(min=0)


def _solved(data: Tensor, weight: Tensor, surface: BendingSurface, penalty: Tensor, x: Tensor) -> Tensor:
    """Improve the modes' weights by preconditioned conjugate gradients."""
    conditioner = 1 / (weight.mean() + penalty)
    residual = surface.adjoint(weight * (data - surface.forward(x))) - penalty * x
    direction = conditioner * residual
    error = (residual * direction).sum()
    for _ in range(ITERATIONS):
        image = surface.adjoint(weight * surface.forward(direction)) + penalty * direction
        step = error / (direction * image).sum().clamp(min=TINY)
        x, residual = x + step * direction, residual - step * image
        conditioned = conditioner * residual
        before, error = error, (residual * conditioned).sum()
        direction = conditioned + error / before.clamp(min=TINY) * direction
    return x
