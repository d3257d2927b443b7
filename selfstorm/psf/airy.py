"""The diffraction-limited PSF."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
from scipy.special import j1

from selfstorm.frames import Array
from selfstorm.psf.kind import FitFamily
from selfstorm.psf.separable import Mode, modes_of_kernel, sample_axis_nm

MODES = 2
SAMPLE_STEP_NM = 5.0
REACH = 2.1  # wavelengths over NA: the fourth dark ring
EQUIVALENT_SIGMA = 0.21  # wavelengths over NA


@dataclass(frozen=True, slots=True)
class Airy:
    """Diffraction-limited PSF (2 J1(v)/v)^2, v = 2 pi NA r / wavelength.

    To be fine-tuned it becomes a pupil without aberrations (models.tunable).

    Attributes:
        na: numerical aperture.
        wavelength_nm: of the emitted light.
        origin: where the PSF comes from, for the user.

    Reference:
        Born & Wolf, Principles of Optics, section 8.5.2.
    """

    kind: ClassVar[str] = "airy"
    has_twin: ClassVar[bool] = False
    tunes: ClassVar[bool] = True

    na: float
    wavelength_nm: float
    origin: str = "set, not learned"

    @property
    def reach_nm(self) -> float:
        """Distance at which the modes are cut: the fourth dark ring."""
        return REACH * self.wavelength_nm / self.na

    @property
    def equivalent_sigma_nm(self) -> float:
        """Standard deviation of the most similar Gaussian."""
        return EQUIVALENT_SIGMA * self.wavelength_nm / self.na

    @property
    def aperture(self) -> tuple[float, float] | None:
        """Numerical aperture and wavelength in nm."""
        return self.na, self.wavelength_nm

    def kernel(self, axis_nm: Array) -> Array:
        """Sample the PSF on an even axis: (n, n) at (y, x), with sum 1."""
        r_nm = np.hypot(axis_nm[:, None], axis_nm[None, :])
        v = np.maximum(2 * np.pi * self.na / self.wavelength_nm * r_nm, 1e-9)
        density = (2 * j1(v) / v) ** 2
        return np.asarray(density / density.sum())

    def modes(self) -> list[Mode]:
        """Return the leading modes of the sampled PSF."""
        return list(_modes(self))

    def turned(self) -> Airy:
        """Return this PSF itself: it is round."""
        return self

    def family(self, near_nm: float) -> FitFamily:
        """Return the Airy PSFs of any width, for a fit that starts near one.

        The width changes by the numerical aperture.

        Args:
            near_nm: equivalent standard deviation to start from.
        """

        def make(theta: Array) -> Airy:
            return replace(self, na=self.na * math.exp(-float(theta[0])))

        return FitFamily(make, (np.array([math.log(near_nm / self.equivalent_sigma_nm)]),))

    def __str__(self) -> str:
        return f"Airy PSF, NA {self.na:.3g}, {self.wavelength_nm:.0f} nm ({self.origin})"


@lru_cache(maxsize=8)
def _modes(psf: Airy) -> tuple[Mode, ...]:
    return modes_of_kernel(psf.kernel(sample_axis_nm(psf.reach_nm, SAMPLE_STEP_NM)), SAMPLE_STEP_NM, MODES)
