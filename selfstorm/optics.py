"""The point spread function: Gaussian, or Airy from NA and wavelength, as separable modes.

PSF(y, x) = sum_r weight_r g_r(y) g_r(x). A mode is kept as the running integral of g along one axis, because a
camera pixel integrates: what it sees of an emitter is a difference of that integral at its two edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import erf, j1

from selfstorm.frames import Array

AIRY_RANK = 2
AIRY_STEP_NM = 5.0


@dataclass(frozen=True, slots=True)
class Mode:
    """One separable mode. integral(u_nm, box_nm): running integral of g at u, averaged over a box of box_nm."""

    weight: float
    integral: Callable[[Array, float], Array]


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A Gaussian PSF. sigma_nm: its standard deviation, > 0."""

    sigma_nm: float
    origin: str = "given"

    @property
    def reach_nm(self) -> float:
        """Distance beyond which less than 1e-5 of an emitter's light falls."""
        return 4.5 * self.sigma_nm

    def modes(self) -> list[Mode]:
        """The one mode there is."""

        def integral(u_nm: Array, box_nm: float) -> Array:
            width_nm = math.sqrt(self.sigma_nm**2 + box_nm**2 / 12)
            return np.asarray(0.5 * erf(u_nm / (width_nm * math.sqrt(2))))

        return [Mode(1.0, integral)]

    def __str__(self) -> str:
        return f"Gaussian PSF, sigma {self.sigma_nm:.0f} nm ({self.origin})"


@dataclass(frozen=True, slots=True)
class Airy:
    """The diffraction-limited PSF (2 J1(v)/v)^2, v = 2 pi NA r / wavelength (Born & Wolf, section 8.5.2)."""

    na: float
    wavelength_nm: float
    origin: str = "given"

    @property
    def reach_nm(self) -> float:
        """Distance at which the modes are cut: the fourth dark ring."""
        return 2.1 * self.wavelength_nm / self.na

    def modes(self) -> list[Mode]:
        """Leading modes of the sampled PSF by singular value decomposition."""
        return list(_airy_modes(self.na, self.wavelength_nm, self.reach_nm))

    def __str__(self) -> str:
        return f"Airy PSF, NA {self.na:g}, {self.wavelength_nm:.0f} nm ({self.origin})"


Psf = Gaussian | Airy


@lru_cache(maxsize=8)
def _airy_modes(na: float, wavelength_nm: float, reach_nm: float) -> tuple[Mode, ...]:
    half = math.ceil(reach_nm / AIRY_STEP_NM)
    axis_nm = np.arange(-half, half + 1) * AIRY_STEP_NM
    v = np.maximum(2 * np.pi * na / wavelength_nm * np.hypot(axis_nm[:, None], axis_nm), 1e-9)
    kernel = (2 * j1(v) / v) ** 2
    left, size, right = np.linalg.svd(kernel / kernel.sum())
    edges_nm = np.r_[axis_nm[0] - AIRY_STEP_NM / 2, axis_nm + AIRY_STEP_NM / 2]
    modes = []
    for r in range(AIRY_RANK):
        profile = left[:, r] * np.sign(left[:, r].sum())
        weight = float(size[r] * np.sign(left[:, r] @ right[r]))
        running = np.r_[0.0, np.cumsum(profile)]
        modes.append(Mode(weight, _tabulated(edges_nm, running)))
    return tuple(modes)


def _tabulated(edges_nm: Array, running: Array) -> Callable[[Array, float], Array]:
    nodes, weights = np.polynomial.legendre.leggauss(4)

    def integral(u_nm: Array, box_nm: float) -> Array:
        shifts = 0.5 * box_nm * nodes
        return np.asarray(
            sum(0.5 * w * np.interp(u_nm + d, edges_nm, running) for w, d in zip(weights, shifts, strict=True))
        )

    return integral


def pixel_kernel(mode: Mode, scale: int, pixel_nm: float, reach_px: int) -> Array:
    """((2*reach_px + 1)*scale,) float64: share of an emitter in each SR cell around a pixel that falls on it.

    Along one axis, cells from reach_px pixels before the pixel's first edge to reach_px behind its last; the
    emitter is anywhere in its cell.
    """
    pitch_nm = pixel_nm / scale
    centre_nm = (np.arange((2 * reach_px + 1) * scale) + 0.5) * pitch_nm - reach_px * pixel_nm
    return mode.integral(pixel_nm - centre_nm, pitch_nm) - mode.integral(-centre_nm, pitch_nm)


def reach_px(psf: Psf, pixel_nm: float) -> int:
    """Whole camera pixels the PSF reaches beyond the pixel it is centred on."""
    return max(2, math.ceil(psf.reach_nm / pixel_nm))
