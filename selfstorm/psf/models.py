"""The point spread function: Gaussian, round or elliptic; Airy from NA and wavelength; or an aberrated pupil.

Each kind gives its separable modes (separable.py), samples of itself, the distance it reaches, and where it comes
from; `psf_to_dict` and `psf_from_dict` carry it through JSON.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from scipy.special import erf, j1

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.psf.pupil import Pupil
from selfstorm.psf.separable import Integral, Mode, modes_of_kernel

AIRY_RANK = 2
MOST_REACH_NM = 1e5  # of a description from outside
SAMPLE_STEP_NM = 5.0
TILTED_RANK = 4
TILTED_LEFT_OUT = 0.01
STRAIGHT_DEG = 3.0  # an ellipse closer than this to the axes is taken as along them: one mode does


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A Gaussian PSF. sigma_nm: its standard deviation, > 0."""

    sigma_nm: float
    origin: str = "given"

    @property
    def reach_nm(self) -> float:
        """Distance beyond which less than 1e-5 of an emitter's light falls."""
        return 4.5 * self.sigma_nm

    def kernel(self, axis_nm: Array) -> Array:
        """(n, n) samples at (y, x) on an even axis, of total 1."""
        profile = np.exp(-0.5 * (axis_nm / self.sigma_nm) ** 2)
        return np.asarray(np.outer(profile, profile) / profile.sum() ** 2)

    def modes(self) -> list[Mode]:
        """The one mode there is."""
        return [Mode(1.0, _gaussian(self.sigma_nm), _gaussian(self.sigma_nm))]

    def __str__(self) -> str:
        return f"Gaussian PSF, sigma {self.sigma_nm:.0f} nm ({self.origin})"


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An elliptic Gaussian PSF, as astigmatism makes it.

    long_nm >= short_nm: standard deviations along its axes. angle_deg: of the long one, from x (0) towards y (90).
    """

    long_nm: float
    short_nm: float
    angle_deg: float
    origin: str = "given"

    @property
    def reach_nm(self) -> float:
        """Distance beyond which less than 1e-5 of an emitter's light falls."""
        return 4.5 * self.long_nm

    def kernel(self, axis_nm: Array) -> Array:
        """(n, n) samples at (y, x) on an even axis, of total 1."""
        turn = math.radians(self.angle_deg)
        y, x = axis_nm[:, None], axis_nm[None, :]
        along = (x * math.cos(turn) + y * math.sin(turn)) / self.long_nm
        across = (y * math.cos(turn) - x * math.sin(turn)) / self.short_nm
        density = np.exp(-0.5 * (along**2 + across**2))
        return np.asarray(density / density.sum())

    def modes(self) -> list[Mode]:
        """One mode where its axes are the camera's, else the leading ones of the sampled PSF."""
        quarter_turns = self.angle_deg / 90
        if abs(quarter_turns - round(quarter_turns)) * 90 > STRAIGHT_DEG:
            return list(_tilted_modes(self))
        along, across = _gaussian(self.long_nm), _gaussian(self.short_nm)
        return [Mode(1.0, along, across) if round(quarter_turns) % 2 else Mode(1.0, across, along)]

    def __str__(self) -> str:
        widths = f"sigma {self.long_nm:.0f} and {self.short_nm:.0f} nm"
        return f"elliptic Gaussian PSF, {widths}, the long axis at {self.angle_deg:.0f} degrees ({self.origin})"


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

    def kernel(self, axis_nm: Array) -> Array:
        """(n, n) samples at (y, x) on an even axis, of total 1."""
        r_nm = np.hypot(axis_nm[:, None], axis_nm[None, :])
        v = np.maximum(2 * np.pi * self.na / self.wavelength_nm * r_nm, 1e-9)
        density = (2 * j1(v) / v) ** 2
        return np.asarray(density / density.sum())

    def modes(self) -> list[Mode]:
        """Leading modes of the sampled PSF."""
        return list(_airy_modes(self))

    def __str__(self) -> str:
        return f"Airy PSF, NA {self.na:.3g}, {self.wavelength_nm:.0f} nm ({self.origin})"


Psf = Gaussian | Ellipse | Airy | Pupil
_KINDS: dict[str, type[Psf]] = {"gaussian": Gaussian, "ellipse": Ellipse, "airy": Airy, "pupil": Pupil}


def psf_to_dict(psf: Psf) -> dict[str, Any]:
    """What psf_from_dict makes the same PSF of, through JSON too."""
    kind = next(name for name, kind in _KINDS.items() if isinstance(psf, kind))
    return {"kind": kind, **asdict(psf)}


def psf_from_dict(account: dict[str, Any]) -> Psf:
    """The PSF that psf_to_dict told of. Raises InputError for anything else."""
    values = dict(account)
    kind = _KINDS.get(str(values.pop("kind", None)))
    try:
        if kind is None:
            raise ValueError
        psf: Psf = TypeAdapter(kind).validate_python(values)
        if not math.isfinite(psf.reach_nm) or not 1 <= psf.reach_nm <= MOST_REACH_NM:
            raise ValueError
    except (ValueError, ArithmeticError) as error:
        raise InputError(f"no PSF is described by {account!r}", where="psf") from error
    return psf


def equivalent_sigma_nm(psf: Psf) -> float:
    """Standard deviation of the Gaussian that is like the PSF, the mean one where it is not round."""
    match psf:
        case Gaussian():
            return psf.sigma_nm
        case Ellipse():
            return math.sqrt(psf.long_nm * psf.short_nm)
        case Airy():
            return 0.21 * psf.wavelength_nm / psf.na
        case Pupil():  # the Gaussian of the same light in the middle pixel of a fine grid
            axis_nm = np.arange(-150, 151) * 10.0
            return 10.0 / math.sqrt(2 * math.pi * float(psf.kernel(axis_nm).max()))


def _gaussian(sigma_nm: float) -> Integral:
    def integral(u_nm: Array, box_nm: float) -> Array:
        width_nm = math.sqrt(sigma_nm**2 + box_nm**2 / 12)
        return np.asarray(0.5 * erf(u_nm / (width_nm * math.sqrt(2))))

    return integral


@lru_cache(maxsize=8)
def _airy_modes(psf: Airy) -> tuple[Mode, ...]:
    return modes_of_kernel(psf.kernel(_fine_axis_nm(psf.reach_nm)), SAMPLE_STEP_NM, AIRY_RANK)


@lru_cache(maxsize=8)
def _tilted_modes(psf: Ellipse) -> tuple[Mode, ...]:
    kernel = psf.kernel(_fine_axis_nm(psf.reach_nm))
    return modes_of_kernel(kernel, SAMPLE_STEP_NM, TILTED_RANK, TILTED_LEFT_OUT)


def _fine_axis_nm(reach_nm: float) -> Array:
    half = math.ceil(reach_nm / SAMPLE_STEP_NM)
    return np.arange(-half, half + 1) * SAMPLE_STEP_NM


def pixel_kernels(mode: Mode, scale: int, pixel_nm: float, reach_px: int) -> tuple[Array, Array]:
    """Along y and x, each ((2*reach_px + 1)*scale,) float64: share of an emitter in SR cells around a pixel it lights.

    Cells from reach_px pixels before the pixel's first edge to reach_px behind its last; the emitter is anywhere in
    its cell.
    """
    pitch_nm = pixel_nm / scale
    centre_nm = (np.arange((2 * reach_px + 1) * scale) + 0.5) * pitch_nm - reach_px * pixel_nm

    def kernel(integral: Integral) -> Array:
        return integral(pixel_nm - centre_nm, pitch_nm) - integral(-centre_nm, pitch_nm)

    return kernel(mode.along_y), kernel(mode.along_x)


def reach_px(psf: Psf, pixel_nm: float) -> int:
    """Whole camera pixels the PSF reaches beyond the pixel it is centred on."""
    return max(2, math.ceil(psf.reach_nm / pixel_nm))
