"""PSF of an aberrated pupil: defocus, astigmatism, coma, spherical."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from selfstorm.frames import Array
from selfstorm.psf.centre import centre_nm
from selfstorm.psf.kind import FitFamily
from selfstorm.psf.separable import Mode, modes_of_kernel

if TYPE_CHECKING:
    from torch import Tensor

SAMPLES = 24  # across the pupil
STEP_NM = 10.0
MAX_MODES = 4
MAX_ERROR = 0.03  # of the kernel's root mean square; what two modes leave of an Airy PSF
FIRST_DEFOCUS = 0.3  # rad
ABERRATION_SD = 1.0  # rad, of the prior
# One fit of each kind of aberration, and some of mixtures: the misfit has many valleys.
FIT_STARTS = (
    (0.6, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.4, 0.4, 0.1, 0.1, 0.1, 0.0),
    (0.4, -0.4, 0.1, 0.1, -0.1, 0.0),
    (0.4, 0.1, 0.4, -0.1, 0.1, 0.0),
    (0.4, 0.1, -0.4, 0.1, 0.1, 0.0),
    (0.1, 0.1, 0.0, 0.6, 0.1, 0.0),
    (0.1, -0.1, 0.0, 0.1, 0.6, 0.0),
    (0.2, 0.0, 0.1, 0.4, 0.4, 0.1),
    (0.2, 0.0, -0.1, 0.4, -0.4, 0.1),
)
ABERRATIONS = ("defocus", "astigmatism", "oblique astigmatism", "coma along y", "coma along x", "spherical")


@dataclass(frozen=True, slots=True)
class Pupil:
    """Scalar PSF |FT(pupil exp(i phase))|^2.

    Its parameters theta are the logarithm of 1 / NA, and the aberrations.

    Attributes:
        na: numerical aperture.
        wavelength_nm: of the emitted light.
        aberrations: Zernike coefficients in radians root mean square (Noll 1976), in the order of ABERRATIONS.
        origin: where the PSF comes from, for the user.

    Reference:
        Goodman, Introduction to Fourier Optics, section 6.4; Noll, J. Opt. Soc. Am. 66, 207 (1976).
    """

    kind: ClassVar[str] = "pupil"
    has_twin: ClassVar[bool] = True  # turned by 180 degrees
    tunes: ClassVar[bool] = True
    nominal_parameters: ClassVar[int] = 1  # the aperture: defocus must not pass for a small one

    na: float
    wavelength_nm: float
    aberrations: tuple[float, ...]
    origin: str = "set, not learned"

    @property
    def reach_nm(self) -> float:
        """Distance at which the modes are cut; it grows with the aberrations.

        Without aberrations it is the fourth dark ring.
        """
        strength = float(np.hypot.reduce(self.aberrations))
        return 2.1 * self.wavelength_nm / self.na * (1 + 0.3 * strength)

    @property
    def equivalent_sigma_nm(self) -> float:
        """Standard deviation of the Gaussian with the same peak.

        The peak is the light in the middle pixel of a fine grid.
        """
        axis_nm = np.arange(-150, 151) * STEP_NM
        return STEP_NM / math.sqrt(2 * math.pi * float(self.kernel(axis_nm).max()))

    @property
    def aperture(self) -> tuple[float, float] | None:
        """Numerical aperture and wavelength in nm."""
        return self.na, self.wavelength_nm

    @classmethod
    def unaberrated(cls, na: float, wavelength_nm: float, origin: str) -> Pupil:
        """Return the PSF of an ideal objective."""
        return cls(na, wavelength_nm, (0.0,) * len(ABERRATIONS), origin)

    def defocused(self) -> Pupil:
        """Return the PSF slightly out of focus.

        A fit in focus has no slope to follow: defocus to one side is as good as to the other.
        """
        return replace(self, aberrations=(FIRST_DEFOCUS, *self.aberrations[1:]))

    def turned(self) -> Pupil:
        """Return the same PSF turned by 180 degrees: coma changes sign."""
        signs = (-1 if name.startswith("coma") else 1 for name in ABERRATIONS)
        return replace(self, aberrations=tuple(s * a for s, a in zip(signs, self.aberrations, strict=True)))

    def kernel(self, axis_nm: Array) -> Array:
        """Sample the PSF on an even axis: (n, n) at (y, x), with sum 1."""
        amplitude, phases = zernikes()
        pupil = amplitude * np.exp(1j * np.tensordot(self.aberrations, phases, 1))
        across = (np.arange(SAMPLES) + 0.5) * 2 / SAMPLES - 1
        wave = np.exp(2j * np.pi * self.na / self.wavelength_nm * np.outer(axis_nm, across))
        density = np.abs(wave @ pupil @ wave.T) ** 2
        return np.asarray(density / density.sum())

    def modes(self) -> list[Mode]:
        """Return the leading modes of the sampled PSF, at most MAX_MODES."""
        return list(_modes(self))

    def parameters(self) -> list[float]:
        """Return theta, (7,)."""
        return [-math.log(self.na), *self.aberrations]

    def with_parameters(self, theta: Sequence[float], origin: str) -> Pupil:
        """Return the pupil with these parameters, of the same wavelength."""
        return replace(self, na=math.exp(-theta[0]), aberrations=tuple(theta[1:]), origin=origin)

    def samples(self, theta: Tensor, axis_nm: Tensor) -> Tensor:
        """Sample the PSF, differentiable in theta.

        Args:
            theta: (7,).
            axis_nm: (n,), even.

        Returns:
            (n, n) at (y, x), up to a factor.
        """
        import torch

        amplitude, phases = (torch.as_tensor(part) for part in zernikes())
        phase = torch.tensordot(theta[1:], phases, 1)
        across = (torch.arange(SAMPLES, dtype=torch.float64) + 0.5) * 2 / SAMPLES - 1
        angle = 2 * math.pi / self.wavelength_nm * torch.exp(-theta[0]) * torch.outer(axis_nm, across)
        wave = torch.polar(torch.ones_like(angle), angle)
        return (wave @ torch.polar(amplitude, phase) @ wave.mT).abs() ** 2

    @staticmethod
    def family(na: float, wavelength_nm: float, na_sd: float) -> FitFamily:
        """Return aberrated pupils near a nominal aperture.

        Args:
            na: nominal numerical aperture.
            wavelength_nm: of the emitted light.
            na_sd: relative standard deviation of the aperture's prior; without it, defocus would pass for a small
                aperture.
        """

        def make(theta: Array) -> Pupil:
            fitted_na = na * math.exp(-float(theta[0]))
            return Pupil(fitted_na, wavelength_nm, tuple(float(value) for value in theta[1:]))

        sd = np.r_[na_sd, np.full(len(ABERRATIONS), ABERRATION_SD)]
        return FitFamily(make, tuple(np.r_[0.0, start] for start in FIT_STARTS), np.zeros(len(sd)), sd)

    def __str__(self) -> str:
        found = ", ".join(f"{name} {value:.2f}" for name, value in zip(ABERRATIONS, self.aberrations, strict=True))
        return f"PSF of NA {self.na:.3g}, {self.wavelength_nm:.0f} nm, aberrations in rad: {found} ({self.origin})"


@lru_cache(maxsize=8)
def _modes(psf: Pupil) -> tuple[Mode, ...]:
    half = int(np.ceil(psf.reach_nm / STEP_NM))
    kernel = psf.kernel(np.arange(-half, half + 1) * STEP_NM)
    return modes_of_kernel(kernel, STEP_NM, MAX_MODES, MAX_ERROR, centre_nm(kernel, STEP_NM))


@lru_cache(maxsize=1)
def zernikes() -> tuple[Array, Array]:
    """Return the pupil's amplitude and the phases of its aberrations.

    Returns:
        (SAMPLES, SAMPLES) amplitude with a soft edge, and (6, SAMPLES, SAMPLES) phases of one radian each.
    """
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
