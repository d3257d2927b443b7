"""Expected photons of emitters, integrated over camera pixels.

A PSF here is a sum of separable modes, psf(y, x) = sum_r weight_r g_r(y) h_r(x), so that its integral over a
pixel is a sum of products of one-dimensional integrals: exact for a Gaussian (one mode), and a truncated
singular value decomposition for the pattern of a pupil.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, j1

from selfstorm.errors import InputError
from selfstorm.psf.centre import centre_nm

Floats = NDArray[np.float64]
Axis = Literal["y", "x"]
_BATCH_VALUES = 500_000  # pixels of patches rendered together, or as many as the frame has: bounds the memory


class SeparablePsf(Protocol):
    """A point-spread function as separable modes."""

    @property
    def radius_nm(self) -> float:
        """Distance from the emitter, along either axis, at which the PSF is cut."""

    @property
    def weights(self) -> Floats:
        """Weights of the modes (R,)."""

    def integrals(self, edges_nm: Floats, axis: Axis) -> Floats:
        """Integrate the modes over pixels.

        Args:
            edges_nm: (N, P+1), relative to N emitters.
            axis: along which.

        Returns:
            (N, R, P).
        """


class GaussianPsf:
    """A Gaussian, elliptic where sigma_x_nm differs.

    Cut at 5 sigma, which leaves 6e-7 of the light out.
    """

    def __init__(self, sigma_nm: float, sigma_x_nm: float | None = None) -> None:
        self._sigma_nm: dict[Axis, float] = {"y": sigma_nm, "x": sigma_x_nm or sigma_nm}
        self.radius_nm = 5.0 * max(self._sigma_nm.values())
        self.weights: Floats = np.ones(1)

    def integrals(self, edges_nm: Floats, axis: Axis) -> Floats:
        """Integrate the only mode over pixels: (N, 1, P)."""
        cumulative = 0.5 * erf(edges_nm / (self._sigma_nm[axis] * math.sqrt(2)))
        modes: Floats = np.diff(cumulative)[:, None, :]
        return modes


class SampledPsf:
    """A sampled PSF; the modes are the singular vectors of its samples.

    Dropping the weakest leaves an error below 1e-4 of the peak.
    """

    SAMPLES = 401
    TOLERANCE = 2e-4  # singular values kept, of the largest
    STEP_NM = 1.0

    def __init__(self, density_per_nm2: Callable[[Floats], Floats], radius_nm: float) -> None:
        """Decompose a density into separable modes.

        Args:
            density_per_nm2: (n,) positions in nm along either axis -> (n, n), integral 1 over the plane.
            radius_nm: distance from the emitter at which it is cut.
        """
        from scipy.interpolate import CubicSpline  # takes half a second, which a Gaussian PSF does not need

        self.radius_nm = radius_nm
        axis = np.linspace(-radius_nm, radius_nm, self.SAMPLES)
        left, values, right = np.linalg.svd(density_per_nm2(axis))
        kept = np.flatnonzero(values > self.TOLERANCE * values[0])
        self.weights: Floats = values[kept]
        steps = math.ceil(2 * radius_nm / self.STEP_NM)
        self._step_nm = 2 * radius_nm / steps
        fine = np.linspace(-radius_nm, radius_nm, steps + 1)
        vectors: dict[Axis, Floats] = {"y": left[:, kept], "x": right[kept].T}
        self._running = {name: CubicSpline(axis, vector).antiderivative()(fine) for name, vector in vectors.items()}

    def integrals(self, edges_nm: Floats, axis: Axis) -> Floats:
        """Integrate the modes over pixels: (N, R, P)."""
        running = self._running[axis]
        place = np.clip((edges_nm + self.radius_nm) / self._step_nm, 0, len(running) - 1)
        below = np.minimum(place.astype(np.intp), len(running) - 2)
        part = (place - below)[..., None]
        at_edges = (1 - part) * running[below] + part * running[below + 1]
        modes: Floats = np.swapaxes(np.diff(at_edges, axis=1), 1, 2)
        return modes


class AiryPsf(SampledPsf):
    """The in-focus, scalar pattern of a round pupil.

    J1(k r)^2 / (pi r^2) with k = 2 pi NA / wavelength. It is cut to a square with at least 97 % of the light; the rest
    is spread thinly over thousands of pixels.

    Reference:
        Born & Wolf, Principles of Optics, section 8.5.2.
    """

    ENCIRCLED = 0.97
    ENCIRCLED_V = 2 / (math.pi * (1 - ENCIRCLED))

    def __init__(self, na: float, wavelength_nm: float) -> None:
        self.wavenumber_per_nm = 2 * math.pi * na / wavelength_nm
        super().__init__(
            lambda axis: self.density_per_nm2(np.hypot(axis[:, None], axis)), self.radius(na, wavelength_nm)
        )

    @classmethod
    def radius(cls, na: float, wavelength_nm: float) -> float:
        """Compute the radius in nm that encloses the share ENCIRCLED.

        By Rayleigh's formula J0(v)^2 + J1(v)^2, about 2 / (pi v), lies outside.
        """
        return cls.ENCIRCLED_V * wavelength_nm / (2 * math.pi * na)

    def density_per_nm2(self, radius_nm: Floats) -> Floats:
        """Evaluate the pattern, integral 1 over the plane."""
        k = self.wavenumber_per_nm
        v = np.maximum(k * radius_nm, 1e-6)
        density: Floats = (k * j1(v) / v) ** 2 / math.pi
        return density


class AberratedPsf(SampledPsf):
    """The scalar pattern of a round pupil with a phase.

    The squared modulus of FT(exp(i phase)). Cut at the radius of the Airy pattern, which encloses nearly as much light.
    The emitter is at its centre (`selfstorm.psf.centre`).

    Args:
        na: numerical aperture.
        wavelength_nm: of the emitted light.
        defocus_rad: Zernike coefficients, here and below, in radians root mean square (Noll 1976).
        astigmatism_rad: y against x.
        oblique_rad: astigmatism along the diagonals.
        coma_y_rad: along y.
        coma_x_rad: along x.
        spherical_rad: spherical aberration.

    Reference:
        Goodman, Introduction to Fourier Optics, section 6.4; Noll, J. Opt. Soc. Am. 66, 207 (1976).
    """

    PUPIL_SAMPLES = 128
    CENTRED_STEPS, CENTRED_STEP_NM = 120, 10.0

    def __init__(
        self,
        na: float,
        wavelength_nm: float,
        *,
        defocus_rad: float = 0.0,
        astigmatism_rad: float = 0.0,
        oblique_rad: float = 0.0,
        coma_y_rad: float = 0.0,
        coma_x_rad: float = 0.0,
        spherical_rad: float = 0.0,
    ) -> None:
        self._wavenumber_per_nm = 2 * math.pi * na / wavelength_nm
        self._across = (np.arange(self.PUPIL_SAMPLES) + 0.5) * 2 / self.PUPIL_SAMPLES - 1
        y, x = self._across[:, None], self._across[None, :]
        r2 = y * y + x * x
        phase = (
            defocus_rad * math.sqrt(3) * (2 * r2 - 1)
            + math.sqrt(6) * (astigmatism_rad * (x * x - y * y) + oblique_rad * 2 * x * y)
            + math.sqrt(8) * (3 * r2 - 2) * (coma_y_rad * y + coma_x_rad * x)
            + spherical_rad * math.sqrt(5) * (6 * r2 * r2 - 6 * r2 + 1)
        )
        self._pupil = (r2 <= 1) * np.exp(1j * phase)
        self._centre_nm = 0.0, 0.0
        reach_nm = self.CENTRED_STEPS * self.CENTRED_STEP_NM
        axis = np.linspace(-reach_nm, reach_nm, 2 * self.CENTRED_STEPS + 1)
        self._centre_nm = centre_nm(self.density_per_nm2(axis), self.CENTRED_STEP_NM)
        super().__init__(self.density_per_nm2, AiryPsf.radius(na, wavelength_nm))

    def density_per_nm2(self, axis_nm: Floats) -> Floats:
        """Evaluate the pattern at (n,) positions from the emitter: (n, n)."""
        wave_y, wave_x = (
            np.exp(1j * self._wavenumber_per_nm * np.outer(axis_nm + at_nm, self._across)) for at_nm in self._centre_nm
        )
        share = (self._wavenumber_per_nm / math.pi) ** 2 / (np.abs(self._pupil) ** 2).sum() / self.PUPIL_SAMPLES**2
        density: Floats = np.abs(wave_y @ self._pupil @ wave_x.T) ** 2 * share
        return density


def place(
    y_nm: ArrayLike,
    x_nm: ArrayLike,
    photons: ArrayLike,
    shape: tuple[int, int],
    *,
    psf: SeparablePsf,
    pixel_nm: float,
) -> Floats:
    """Render emitters on the camera, without noise or background.

    Args:
        y_nm: (N,) or scalar, from the top-left corner of the first camera pixel; may lie outside the field.
        x_nm: likewise.
        photons: likewise, expected photons of each.
        shape: (H, W) camera pixels.
        psf: point-spread function.
        pixel_nm: side of a camera pixel in the sample.

    Returns:
        (H, W) float64 photons, the PSF integrated over every pixel.

    Raises:
        InputError: the three differ in length or are not finite.
    """
    y, x, n = (np.atleast_1d(np.asarray(value, float)) for value in (y_nm, x_nm, photons))
    if not (y.ndim == 1 and y.shape == x.shape == n.shape):
        raise InputError(
            f"shapes {y.shape}, {x.shape}, {n.shape}", where="emitters", hint="give one y, x and photons each"
        )
    if not np.isfinite([y, x, n]).all():
        raise InputError("a position or photon count is not finite", where="emitters")
    height, width = shape
    patch = 2 * math.ceil(psf.radius_nm / pixel_nm) + 1
    padded = height + 2 * patch, width + 2 * patch
    first_y, first_x = _first_pixel(y, patch, pixel_nm), _first_pixel(x, patch, pixel_nm)
    inside = (first_y > -patch) & (first_y < height) & (first_x > -patch) & (first_x < width)
    inside &= n != 0
    total = np.zeros(padded[0] * padded[1])
    steps = (np.arange(patch)[:, None] * padded[1] + np.arange(patch)).ravel()
    size = math.ceil(max(_BATCH_VALUES, total.size) / patch**2)
    rendered = np.flatnonzero(inside)
    for start in range(0, rendered.size, size):
        batch = rendered[start : start + size]
        rows = psf.integrals(_edges_nm(y[batch], first_y[batch], patch, pixel_nm), "y")
        columns = psf.integrals(_edges_nm(x[batch], first_x[batch], patch, pixel_nm), "x")
        rows *= psf.weights[:, None] * n[batch][:, None, None]
        patches = rows.swapaxes(1, 2) @ columns if len(psf.weights) > 1 else rows.swapaxes(1, 2) * columns
        corner = (first_y[batch] + patch) * padded[1] + first_x[batch] + patch
        pixels = (corner[:, None] + steps).ravel()
        total += np.bincount(pixels, patches.ravel(), minlength=total.size)
    return np.ascontiguousarray(total.reshape(padded)[patch : patch + height, patch : patch + width])


def _first_pixel(position_nm: Floats, patch: int, pixel_nm: float) -> NDArray[np.int64]:
    """Find the first pixel of the patch centred on the emitter's pixel."""
    pixel = np.clip(np.floor(position_nm / pixel_nm), -(2**31), 2**31)
    return pixel.astype(np.int64) - patch // 2


def _edges_nm(position_nm: Floats, first: NDArray[np.int64], patch: int, pixel_nm: float) -> Floats:
    """Compute the distances (N, patch+1) of pixel edges from the emitters."""
    edges: Floats = (first[:, None] + np.arange(patch + 1)) * pixel_nm - position_nm[:, None]
    return edges
