"""Point spread functions: all kinds, and what is common to them.

A kind is one class with everything of its own (kind.PsfKind): a new one is added to KINDS. `psf_to_dict` and
`psf_from_dict` carry a PSF through JSON.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.psf.airy import Airy
from selfstorm.psf.gaussian import Ellipse, Gaussian
from selfstorm.psf.pupil import Pupil
from selfstorm.psf.sampled import Sampled
from selfstorm.psf.separable import Integral, Mode

__all__ = [
    "Airy",
    "Ellipse",
    "Gaussian",
    "Psf",
    "Pupil",
    "Sampled",
    "Tunable",
    "pixel_kernels",
    "psf_from_dict",
    "psf_to_dict",
    "reach_px",
    "tunable",
    "tuning_starts",
]

MIN_REACH_NM, MAX_REACH_NM = 1, 1e5  # of a description from outside
MIN_REACH_PX = 2

Tunable = Gaussian | Ellipse | Pupil  # kind.TunablePsf
Psf = Tunable | Airy | Sampled  # kind.PsfKind
KINDS: dict[str, type[Psf]] = {kind.kind: kind for kind in (Gaussian, Ellipse, Airy, Pupil, Sampled)}


def psf_to_dict(psf: Psf) -> dict[str, Any]:
    """Describe a PSF for JSON."""
    return {"kind": psf.kind, **asdict(psf)}


def psf_from_dict(account: dict[str, Any]) -> Psf:
    """Return the PSF that psf_to_dict described.

    Raises:
        InputError: the description is of no PSF.
    """
    values = dict(account)
    kind = KINDS.get(str(values.pop("kind", None)))
    try:
        if kind is None:
            raise ValueError
        psf: Psf = TypeAdapter(kind).validate_python(values)
        if not math.isfinite(psf.reach_nm) or not MIN_REACH_NM <= psf.reach_nm <= MAX_REACH_NM:
            raise ValueError
    except (ValueError, ArithmeticError) as error:
        raise InputError(f"no PSF is described by {account!r}", where="psf") from error
    return psf


def tunable(psf: Psf) -> Tunable:
    """Return the same PSF with parameters that vary smoothly.

    An Airy PSF becomes a pupil without aberrations.

    Raises:
        ValueError: it has no parameters.
    """
    if isinstance(psf, Sampled):
        raise ValueError("a sampled PSF has no parameters")
    return Pupil.unaberrated(psf.na, psf.wavelength_nm, psf.origin) if isinstance(psf, Airy) else psf


def tuning_starts(psf: Psf) -> list[list[float]]:
    """Return the parameters (P,) to tune from.

    They are its own, and those of the twin with the same autocorrelation if there is one.
    """
    if isinstance(psf, Airy):
        return [Pupil.unaberrated(psf.na, psf.wavelength_nm, psf.origin).defocused().parameters()]
    same = tunable(psf)
    return [one.parameters() for one in ((same, same.turned()) if same.has_twin else (same,))]


def pixel_kernels(mode: Mode, scale: int, pixel_nm: float, reach_px: int) -> tuple[Array, Array]:
    """Integrate a mode over a camera pixel, for emitters in cells around it.

    The cells go from reach_px pixels before the pixel's first edge to reach_px behind its last; the emitter is anywhere
    in its cell.

    Args:
        mode: of the PSF.
        scale: SR cells per camera pixel.
        pixel_nm: camera pixel.
        reach_px: camera pixels that the PSF reaches.

    Returns:
        Share of an emitter's light along y and along x, each ((2*reach_px + 1)*scale,) float64.
    """
    pitch_nm = pixel_nm / scale
    centre_nm = (np.arange((2 * reach_px + 1) * scale) + 0.5) * pitch_nm - reach_px * pixel_nm

    def kernel(integral: Integral) -> Array:
        return integral(pixel_nm - centre_nm, pitch_nm) - integral(-centre_nm, pitch_nm)

    return kernel(mode.along_y), kernel(mode.along_x)


def reach_px(psf: Psf, pixel_nm: float) -> int:
    """Return the whole camera pixels the PSF reaches beyond its central one."""
    return max(MIN_REACH_PX, math.ceil(psf.reach_nm / pixel_nm))
