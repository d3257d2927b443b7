"""Emitters at known positions -> the photons that a camera expects, pixel by pixel.

A PSF here is a sum of separable modes, psf(y, x) = sum_r weight_r g_r(y) g_r(x), so that its integral over a
pixel is a sum of products of one-dimensional integrals: exact for a Gaussian (one mode), and a truncated
eigenvalue decomposition for an Airy pattern.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.special import erf, j1

from selfstorm.errors import InputError

Floats = NDArray[np.float64]
_BATCH_VALUES = 500_000  # pixels of patches rendered together, or as many as the frame has: bounds the memory


class Psf(Protocol):
    """A point-spread function as separable modes."""

    @property
    def radius_nm(self) -> float:
        """Light farther than this from the emitter, along either axis, is left out."""

    @property
    def weights(self) -> Floats:
        """(R,): one per mode."""

    def integrals(self, edges_nm: Floats) -> Floats:
        """(N, P+1) distances of pixel edges from N emitters -> (N, R, P) integrals of the modes."""


class GaussianPsf:
    """exp(-r^2 / (2 sigma^2)) / (2 pi sigma^2), cut at 5 sigma: all but 6e-7 of the light along an axis."""

    def __init__(self, sigma_nm: float) -> None:
        self.sigma_nm = sigma_nm
        self.radius_nm = 5.0 * sigma_nm
        self.weights: Floats = np.ones(1)

    def integrals(self, edges_nm: Floats) -> Floats:
        cumulative = 0.5 * erf(edges_nm / (self.sigma_nm * math.sqrt(2)))
        modes: Floats = np.diff(cumulative)[:, None, :]
        return modes


class AiryPsf:
    """The in-focus, scalar pattern of a round pupil, J1(k r)^2 / (pi r^2) with k = 2 pi NA / wavelength.

    Born & Wolf, Principles of Optics, section 8.5.2. Cut to a square that holds 97 % of the light or more;
    the rest lies thinly over thousands of pixels. The modes are eigenvectors of the pattern sampled on a fine
    grid; those dropped leave an error below 1e-4 of the peak.
    """

    ENCIRCLED = 0.97
    SAMPLES = 401
    TOLERANCE = 2e-4  # eigenvalues kept, of the largest
    STEP_NM = 1.0

    def __init__(self, na: float, wavelength_nm: float) -> None:
        self.wavenumber_per_nm = 2 * math.pi * na / wavelength_nm
        # Rayleigh's formula: the light outside v = k r is J0(v)^2 + J1(v)^2, about 2 / (pi v).
        self.radius_nm = 2 / (math.pi * (1 - self.ENCIRCLED)) / self.wavenumber_per_nm
        self.weights, self._cumulative = self._modes()

    def density_per_nm2(self, radius_nm: Floats) -> Floats:
        """The pattern itself, total 1 over the plane."""
        k = self.wavenumber_per_nm
        v = np.maximum(k * radius_nm, 1e-6)
        density: Floats = (k * j1(v) / v) ** 2 / math.pi
        return density

    def integrals(self, edges_nm: Floats) -> Floats:
        place = np.clip((edges_nm + self.radius_nm) / self._step_nm, 0, len(self._cumulative) - 1)
        below = np.minimum(place.astype(np.intp), len(self._cumulative) - 2)
        part = (place - below)[..., None]
        at_edges = (1 - part) * self._cumulative[below] + part * self._cumulative[below + 1]
        modes: Floats = np.swapaxes(np.diff(at_edges, axis=1), 1, 2)
        return modes

    def _modes(self) -> tuple[Floats, Floats]:
        """Weights (R,) and the modes' running integrals (K, R) from -radius_nm to radius_nm."""
        axis = np.linspace(-self.radius_nm, self.radius_nm, self.SAMPLES)
        values, vectors = np.linalg.eigh(self.density_per_nm2(np.hypot(axis[:, None], axis[None, :])))
        kept = np.flatnonzero(np.abs(values) > self.TOLERANCE * np.abs(values).max())
        running = CubicSpline(axis, vectors[:, kept]).antiderivative()
        steps = math.ceil(2 * self.radius_nm / self.STEP_NM)
        self._step_nm = 2 * self.radius_nm / steps
        return values[kept], running(np.linspace(-self.radius_nm, self.radius_nm, steps + 1))


def place(
    y_nm: ArrayLike,
    x_nm: ArrayLike,
    photons: ArrayLike,
    shape: tuple[int, int],
    *,
    psf: Psf,
    pixel_nm: float,
) -> Floats:
    """Expected photons of emitters on the camera, without noise or background.

    y_nm, x_nm, photons: (N,) or scalars; positions from the top-left corner of the first camera pixel, which
    may lie outside the field. shape: (H, W). Returns (H, W) float64, the PSF integrated over every pixel.
    Raises InputError where the three differ in length or are not finite.
    """
    y, x, n = (np.atleast_1d(np.asarray(value, float)) for value in (y_nm, x_nm, photons))
    if not (y.ndim == 1 and y.shape == x.shape == n.shape):
        raise InputError(
            f"shapes {y.shape}, {x.shape}, {n.shape}", where="emitters", mend="give one y, x and photons each"
        )
    if not np.isfinite([y, x, n]).all():
        raise InputError("a position or photon count is not finite", where="emitters")
    height, width = shape
    patch = 2 * math.ceil(psf.radius_nm / pixel_nm) + 1
    padded = height + 2 * patch, width + 2 * patch
    first_y, first_x = _first_pixel(y, patch, pixel_nm), _first_pixel(x, patch, pixel_nm)
    seen = (first_y > -patch) & (first_y < height) & (first_x > -patch) & (first_x < width)
    seen &= n != 0
    total = np.zeros(padded[0] * padded[1])
    steps = (np.arange(patch)[:, None] * padded[1] + np.arange(patch)).ravel()
    size = math.ceil(max(_BATCH_VALUES, total.size) / patch**2)
    shining = np.flatnonzero(seen)
    for start in range(0, shining.size, size):
        batch = shining[start : start + size]
        rows = psf.integrals(_edges_nm(y[batch], first_y[batch], patch, pixel_nm))
        columns = psf.integrals(_edges_nm(x[batch], first_x[batch], patch, pixel_nm))
        rows *= psf.weights[:, None] * n[batch][:, None, None]
        patches = rows.swapaxes(1, 2) @ columns if len(psf.weights) > 1 else rows.swapaxes(1, 2) * columns
        corner = (first_y[batch] + patch) * padded[1] + first_x[batch] + patch
        pixels = (corner[:, None] + steps).ravel()
        total += np.bincount(pixels, patches.ravel(), minlength=total.size)
    return np.ascontiguousarray(total.reshape(padded)[patch : patch + height, patch : patch + width])


def _first_pixel(position_nm: Floats, patch: int, pixel_nm: float) -> NDArray[np.int64]:
    """First pixel of the patch whose middle pixel holds the emitter, kept in integer range."""
    pixel = np.clip(np.floor(position_nm / pixel_nm), -(2**31), 2**31)
    return pixel.astype(np.int64) - patch // 2


def _edges_nm(position_nm: Floats, first: NDArray[np.int64], patch: int, pixel_nm: float) -> Floats:
    """(N, patch+1) distances of the patch's pixel edges from each emitter."""
    edges: Floats = (first[:, None] + np.arange(patch + 1)) * pixel_nm - position_nm[:, None]
    return edges
