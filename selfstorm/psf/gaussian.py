"""Gaussian PSFs: round, and elliptic as astigmatism makes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import erf

from selfstorm.frames import Array
from selfstorm.psf.kind import FitFamily
from selfstorm.psf.separable import Integral, Mode, modes_of_kernel, sample_axis_nm

if TYPE_CHECKING:
    from torch import Tensor

REACH_SIGMAS = 4.5  # beyond which less than 1e-5 of an emitter's light falls
SAMPLE_STEP_NM = 5.0
MAX_TILTED_MODES, MAX_TILTED_ERROR = 4, 0.01
STRAIGHT_DEG = 3.0  # an ellipse closer than this to the camera's axes counts as aligned: one mode is enough
MAX_FITTED_ELONGATION = 2.0  # logarithm of the ratio of its widths
FIRST_ELONGATION, FIRST_TURNS = 0.2, (0.0, 2.1, 4.2)  # of fits: twice the angle of the long axis, in radians
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Round Gaussian PSF; theta is the logarithm of its width.

    Attributes:
        sigma_nm: standard deviation, > 0.
        origin: where the PSF comes from, for the user.
    """

    kind: ClassVar[str] = "gaussian"
    has_twin: ClassVar[bool] = False
    tunes: ClassVar[bool] = True
    nominal_parameters: ClassVar[int] = 0

    sigma_nm: float
    origin: str = "set, not learned"

    @property
    def reach_nm(self) -> float:
        """Distance beyond which less than 1e-5 of an emitter's light falls."""
        return REACH_SIGMAS * self.sigma_nm

    @property
    def equivalent_sigma_nm(self) -> float:
        """Its own standard deviation."""
        return self.sigma_nm

    @property
    def aperture(self) -> tuple[float, float] | None:
        """None: a Gaussian does not determine the objective."""
        return None

    def kernel(self, axis_nm: Array) -> Array:
        """Sample the PSF on an even axis: (n, n) at (y, x), with sum 1."""
        profile = np.exp(-0.5 * (axis_nm / self.sigma_nm) ** 2)
        return np.asarray(np.outer(profile, profile) / profile.sum() ** 2)

    def modes(self) -> list[Mode]:
        """Return the only mode: a Gaussian is separable."""
        return [Mode(1.0, _integral(self.sigma_nm), _integral(self.sigma_nm))]

    def turned(self) -> Gaussian:
        """Return this PSF itself: it is round."""
        return self

    def parameters(self) -> list[float]:
        """Return theta, (1,)."""
        return [math.log(self.sigma_nm)]

    def with_parameters(self, theta: Sequence[float], origin: str) -> Gaussian:
        """Return the Gaussian with these parameters."""
        return Gaussian(math.exp(theta[0]), origin)

    def samples(self, theta: Tensor, axis_nm: Tensor) -> Tensor:
        """Sample the PSF, differentiable in theta.

        Args:
            theta: (1,).
            axis_nm: (n,), even.

        Returns:
            (n, n) at (y, x), up to a factor.
        """
        import torch

        y, x = axis_nm[:, None], axis_nm[None, :]
        return torch.exp(-0.5 * (x * x + y * y) * torch.exp(-2 * theta[0]))

    @staticmethod
    def family(near_nm: float, lowest_nm: float, highest_nm: float) -> FitFamily:
        """Return the Gaussians between two widths, for a fit that starts near one.

        Args:
            near_nm: standard deviation to start from.
            lowest_nm: smallest standard deviation.
            highest_nm: largest standard deviation.
        """

        def make(theta: Array) -> Gaussian:
            return Gaussian(float(np.clip(math.exp(theta[0]), lowest_nm, highest_nm)))

        return FitFamily(make, (np.array([math.log(near_nm)]),))

    def __str__(self) -> str:
        return f"Gaussian PSF, sigma {self.sigma_nm:.0f} nm ({self.origin})"


@dataclass(frozen=True, slots=True)
class Ellipse:
    """Elliptic Gaussian PSF, as astigmatism produces it.

    Its parameters theta are the logarithm of the mean width, and the elongation log(long / short) times cosine and sine
    of twice the angle.

    Attributes:
        long_nm: standard deviation along the long axis, >= short_nm.
        short_nm: standard deviation along the short axis.
        angle_deg: of the long axis, from x (0) towards y (90).
        origin: where the PSF comes from, for the user.
    """

    kind: ClassVar[str] = "ellipse"
    has_twin: ClassVar[bool] = False
    tunes: ClassVar[bool] = True
    nominal_parameters: ClassVar[int] = 0

    long_nm: float
    short_nm: float
    angle_deg: float
    origin: str = "set, not learned"

    @property
    def reach_nm(self) -> float:
        """Distance beyond which less than 1e-5 of an emitter's light falls."""
        return REACH_SIGMAS * self.long_nm

    @property
    def equivalent_sigma_nm(self) -> float:
        """Geometric mean of both standard deviations."""
        return math.sqrt(self.long_nm * self.short_nm)

    @property
    def aperture(self) -> tuple[float, float] | None:
        """None: an ellipse does not determine the objective."""
        return None

    def kernel(self, axis_nm: Array) -> Array:
        """Sample the PSF on an even axis: (n, n) at (y, x), with sum 1."""
        turn = math.radians(self.angle_deg)
        y, x = axis_nm[:, None], axis_nm[None, :]
        along = (x * math.cos(turn) + y * math.sin(turn)) / self.long_nm
        across = (y * math.cos(turn) - x * math.sin(turn)) / self.short_nm
        density = np.exp(-0.5 * (along**2 + across**2))
        return np.asarray(density / density.sum())

    def modes(self) -> list[Mode]:
        """Return one mode if the axes are the camera's, else the leading ones."""
        quarter_turns = self.angle_deg / 90
        if abs(quarter_turns - round(quarter_turns)) * 90 > STRAIGHT_DEG:
            return list(_tilted_modes(self))
        along, across = _integral(self.long_nm), _integral(self.short_nm)
        return [Mode(1.0, along, across) if round(quarter_turns) % 2 else Mode(1.0, across, along)]

    def turned(self) -> Ellipse:
        """Return this PSF itself: it is symmetric."""
        return self

    def parameters(self) -> list[float]:
        """Return theta, (3,)."""
        turn, elongation = 2 * math.radians(self.angle_deg), math.log(self.long_nm / self.short_nm)
        width = 0.5 * math.log(self.long_nm * self.short_nm)
        return [width, elongation * math.cos(turn), elongation * math.sin(turn)]

    def with_parameters(self, theta: Sequence[float], origin: str) -> Ellipse:
        """Return the ellipse with these parameters."""
        return _ellipse(theta, 0.5 * math.hypot(theta[1], theta[2]), origin)

    def samples(self, theta: Tensor, axis_nm: Tensor) -> Tensor:
        """Sample the PSF, differentiable in theta.

        Args:
            theta: (3,).
            axis_nm: (n,), even.

        Returns:
            (n, n) at (y, x), up to a factor.
        """
        import torch

        y, x = axis_nm[:, None], axis_nm[None, :]
        # cosh(e) r^2 - sinh(e) / e (t1 (x^2 - y^2) + 2 t2 x y) over the mean width: smooth also at elongation e = 0
        elongation = torch.sqrt(theta[1] ** 2 + theta[2] ** 2 + TINY)
        lean = torch.sinh(elongation) / elongation
        square = torch.cosh(elongation) * (x * x + y * y)
        tilted = lean * (theta[1] * (x * x - y * y) + 2 * theta[2] * x * y)
        return torch.exp(-0.5 * (square - tilted) * torch.exp(-2 * theta[0]))

    @staticmethod
    def family(near_nm: float) -> FitFamily:
        """Return ellipses of any angle, for fits that start near a mean width."""

        def make(theta: Array) -> Ellipse:
            return _ellipse(theta, 0.5 * min(math.hypot(theta[1], theta[2]), MAX_FITTED_ELONGATION), "given")

        components = [(FIRST_ELONGATION * math.cos(turn), FIRST_ELONGATION * math.sin(turn)) for turn in FIRST_TURNS]
        return FitFamily(make, tuple(np.array([math.log(near_nm), *both]) for both in components))

    def __str__(self) -> str:
        widths = f"sigma {self.long_nm:.0f} and {self.short_nm:.0f} nm"
        return f"elliptic Gaussian PSF, {widths}, the long axis at {self.angle_deg:.0f} degrees ({self.origin})"


def _ellipse(theta: Sequence[float] | Array, half_elongation: float, origin: str) -> Ellipse:
    long_nm, short_nm = (math.exp(theta[0] + side * half_elongation) for side in (1, -1))
    return Ellipse(long_nm, short_nm, math.degrees(0.5 * math.atan2(theta[2], theta[1])) % 180, origin)


def _integral(sigma_nm: float) -> Integral:
    """Return the running integral of a Gaussian.

    A box average adds its variance, box^2 / 12, to that of the Gaussian.
    """

    def integral(u_nm: Array, box_nm: float) -> Array:
        width_nm = math.sqrt(sigma_nm**2 + box_nm**2 / 12)
        return np.asarray(0.5 * erf(u_nm / (width_nm * math.sqrt(2))))

    return integral


@lru_cache(maxsize=8)
def _tilted_modes(psf: Ellipse) -> tuple[Mode, ...]:
    kernel = psf.kernel(sample_axis_nm(psf.reach_nm, SAMPLE_STEP_NM))
    return modes_of_kernel(kernel, SAMPLE_STEP_NM, MAX_TILTED_MODES, MAX_TILTED_ERROR)
