"""PSF given by samples, as calibrations of beads leave it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from scipy.interpolate import RectBivariateSpline

from selfstorm.frames import Array
from selfstorm.psf.separable import Mode, modes_of_kernel, sample_axis_nm

MIN_SIDE, MAX_SIDE = 5, 201  # samples
STEP_NM = 10.0  # of the modes
MAX_MODES, MAX_ERROR = 4, 0.03  # see selfstorm.psf.pupil


@dataclass(frozen=True, slots=True)
class Sampled:
    """A PSF on an even grid, the emitter in the middle; cubic in between.

    It has no parameters, so that it is kept or replaced, but not fine-tuned.

    Attributes:
        step_nm: distance of the samples.
        samples: (n, n) density at (y, x) up to a factor, n odd.
        origin: where the PSF comes from, for the user.
    """

    kind: ClassVar[str] = "sampled"
    has_twin: ClassVar[bool] = False
    tunes: ClassVar[bool] = False

    step_nm: float
    samples: tuple[tuple[float, ...], ...]
    origin: str = "set, not learned"

    def __post_init__(self) -> None:
        side = len(self.samples)
        if not (MIN_SIDE <= side <= MAX_SIDE and side % 2) or any(len(row) != side for row in self.samples):
            raise ValueError(f"{side} rows of samples; a square with an odd side is needed")
        values = np.array(self.samples)
        if not (np.isfinite(values).all() and values.sum() > 0 and values[side // 2, side // 2] > 0):
            raise ValueError("samples that are no light in the middle")

    @property
    def reach_nm(self) -> float:
        """Distance from the emitter to the last sample."""
        return self.step_nm * (len(self.samples) // 2)

    @property
    def equivalent_sigma_nm(self) -> float:
        """Standard deviation of the Gaussian with the same peak."""
        kernel = self.kernel(sample_axis_nm(self.reach_nm, STEP_NM))
        return STEP_NM / math.sqrt(2 * math.pi * float(kernel.max()))

    @property
    def aperture(self) -> None:
        """Unknown."""
        return None

    def kernel(self, axis_nm: Array) -> Array:
        """Sample the PSF on an even axis: (n, n) at (y, x), with sum 1."""
        own = (np.arange(len(self.samples)) - len(self.samples) // 2) * self.step_nm
        within = np.abs(axis_nm) <= self.reach_nm
        density = np.zeros((len(axis_nm), len(axis_nm)))
        spline = RectBivariateSpline(own, own, np.array(self.samples))
        density[np.ix_(within, within)] = spline(axis_nm[within], axis_nm[within]).clip(min=0)
        return np.asarray(density / density.sum())

    def modes(self) -> list[Mode]:
        """Return the leading modes of the samples, at most MAX_MODES."""
        return list(_modes(self))

    def turned(self) -> Sampled:
        """Return the same PSF turned by 180 degrees."""
        return Sampled(self.step_nm, tuple(row[::-1] for row in self.samples[::-1]), self.origin)

    def __str__(self) -> str:
        return f"sampled PSF, as wide as a Gaussian of {self.equivalent_sigma_nm:.0f} nm (sigma; {self.origin})"


@lru_cache(maxsize=8)
def _modes(psf: Sampled) -> tuple[Mode, ...]:
    kernel = psf.kernel(sample_axis_nm(psf.reach_nm, STEP_NM))
    return modes_of_kernel(kernel, STEP_NM, MAX_MODES, MAX_ERROR)
