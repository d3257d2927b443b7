"""The PSF of an aberrated pupil: defocus, astigmatism, coma, spherical aberration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from selfstorm.frames import Array
from selfstorm.psf.separable import Mode, modes_of_kernel

SAMPLES = 24  # across the pupil
STEP_NM = 10.0
MOST_MODES = 4
LEFT_OUT = 0.03  # of the kernel's root mean square; what two modes leave of an Airy PSF
ABERRATIONS = ("defocus", "astigmatism", "oblique astigmatism", "coma along y", "coma along x", "spherical")


@dataclass(frozen=True, slots=True)
class Pupil:
    """The scalar PSF |FT(pupil exp(i phase))|^2 (Goodman, Fourier Optics, section 6.4).

    aberrations: Zernike coefficients in radians root mean square (Noll 1976), in the order of ABERRATIONS.
    """

    na: float
    wavelength_nm: float
    aberrations: tuple[float, ...]
    origin: str = "given"

    @property
    def reach_nm(self) -> float:
        """Distance at which the modes are cut: the fourth dark ring, wider as the phase is stronger."""
        strength = float(np.hypot.reduce(self.aberrations))
        return 2.1 * self.wavelength_nm / self.na * (1 + 0.3 * strength)

    def turned(self) -> Pupil:
        """The same PSF turned by 180 degrees: with coma the other way."""
        signs = (-1 if name.startswith("coma") else 1 for name in ABERRATIONS)
        return replace(self, aberrations=tuple(s * a for s, a in zip(signs, self.aberrations, strict=True)))

    def kernel(self, axis_nm: Array) -> Array:
        """(n, n) samples at (y, x) on an even axis, n even or odd, of total 1."""
        amplitude, phases = zernikes()
        pupil = amplitude * np.exp(1j * np.tensordot(self.aberrations, phases, 1))
        across = (np.arange(SAMPLES) + 0.5) * 2 / SAMPLES - 1
        wave = np.exp(2j * np.pi * self.na / self.wavelength_nm * np.outer(axis_nm, across))
        density = np.abs(wave @ pupil @ wave.T) ** 2
        return np.asarray(density / density.sum())

    def modes(self) -> list[Mode]:
        """Leading modes of the sampled PSF, as many as it takes, up to four."""
        return list(_modes(self))

    def __str__(self) -> str:
        found = ", ".join(f"{name} {value:.2f}" for name, value in zip(ABERRATIONS, self.aberrations, strict=True))
        return f"PSF of NA {self.na:.3g}, {self.wavelength_nm:.0f} nm, aberrations in rad: {found} ({self.origin})"


@lru_cache(maxsize=8)
def _modes(psf: Pupil) -> tuple[Mode, ...]:
    half = int(np.ceil(psf.reach_nm / STEP_NM))
    return modes_of_kernel(psf.kernel(np.arange(-half, half + 1) * STEP_NM), STEP_NM, MOST_MODES, LEFT_OUT)


@lru_cache(maxsize=1)
def zernikes() -> tuple[Array, Array]:
    """(SAMPLES, SAMPLES) amplitude with a soft edge and (6, SAMPLES, SAMPLES) phases of one radian each."""
    across = (np.arange(SAMPLES) + 0.5) * 2 / SAMPLES - 1
    y, x = across[:, None], across[None, :]
    r2 = y * y + x * x
    phases = np.stack(
        [
            np.sqrt(3) * (2 * r2 - 1),
            np.sqrt(6) * (x * x - y * y),
            np.sqrt(6) * 2 * x * y,
            np.sqrt(8) * (3 * r2 - 2) * y,
            np.sqrt(8) * (3 * r2 - 2) * x,
            np.sqrt(5) * (6 * r2 * r2 - 6 * r2 + 1),
        ]
    )
    return np.clip((1 - np.sqrt(r2)) * SAMPLES / 2 + 0.5, 0, 1), phases
