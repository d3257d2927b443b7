"""Focus: width of what blinks, against the widest PSF in focus.

Field moments are a sum, over all that blinks, of autocorrelations of PSFs. Where those of wide PSFs alone explain them,
nothing blinks in focus, and there is no structure for a picture to show. Measurements: docs/decisions/0023.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from selfstorm.calibration.field_moments import FieldMoments
from selfstorm.calibration.psf_autocorrelation import autocorrelation
from selfstorm.calibration.psf_fit import MomentTarget, fit_round
from selfstorm.frames import Array
from selfstorm.psf.models import Gaussian, Psf

# NA 0.75 in the far red; objectives with a lower aperture magnify less, so that their PSF is hardly more pixels wide.
MAX_PSF_SIGMA_NM, MAX_PSF_SIGMA_PX = 200.0, 2.0
WIDE_FACTORS = (1.5, 2.0, 3.0, 4.5)  # widths of what is out of focus, over that of the widest PSF in focus
MIN_BLOCKS = 4  # for error bars
# Measured: wide PSFs leave .12 to .55 of the moments unexplained where emitters are in focus, also beside as many in
# haze, and .001 to .02 where none are. Noise adds its own share, and with more of it the two cannot be distinguished.
MAX_UNEXPLAINED, NOISE_WEIGHT, MAX_NOISE = 0.03, 0.5, 0.08


@dataclass(frozen=True, slots=True)
class Focus:
    """Focus that field moments show.

    Attributes:
        blinking_sigma_nm: Width of what blinks, as the standard deviation of a Gaussian PSF; at most 4 pixels.
        limit_sigma_nm: Width of the widest PSF in focus.
        unexplained: Share of the moments' variance that PSFs out of focus do not explain.
        noise: Share of it that is noise.
    """

    blinking_sigma_nm: float
    limit_sigma_nm: float
    unexplained: float
    noise: float

    def __str__(self) -> str:
        return (
            f"Out of focus: what blinks is {self.blinking_sigma_nm:.0f} nm wide (sigma), light in focus at most "
            f"{self.limit_sigma_nm:.0f} nm; focus, and check the pixel size"
        )

    @property
    def lost(self) -> bool:
        """True where nothing that blinks is in focus."""
        wide = self.blinking_sigma_nm > self.limit_sigma_nm
        return wide and self.unexplained < MAX_UNEXPLAINED + NOISE_WEIGHT * self.noise


def assess_focus(moments: FieldMoments, pixel_nm: float, given: Psf | None = None) -> Focus | None:
    """Compare what blinks with the PSFs that are possible out of focus.

    Args:
        moments: Of the frames.
        pixel_nm: Camera pixel.
        given: PSF that the user gave: one as wide is in focus.

    Returns:
        The focus; None where the moments do not determine it.
    """
    if len(moments.pairs) < MIN_BLOCKS:
        return None
    target = MomentTarget(moments, pixel_nm)
    if not target.noise < MAX_NOISE:
        return None
    limit_nm = widest_in_focus_nm(pixel_nm, given)
    unexplained = _unexplained(target.values, limit_nm, pixel_nm)
    return Focus(fit_round(target).psf.equivalent_sigma_nm, limit_nm, unexplained, target.noise)


def widest_in_focus_nm(pixel_nm: float, given: Psf | None = None) -> float:
    """Return the standard deviation of the widest PSF in focus, nm.

    A lower magnification, with wider pixels, has a lower aperture.
    """
    possible = max(MAX_PSF_SIGMA_NM, MAX_PSF_SIGMA_PX * pixel_nm)
    return possible if given is None else max(possible, given.equivalent_sigma_nm)


def _unexplained(values: Array, limit_nm: float, pixel_nm: float) -> float:
    """Fit moments by PSFs out of focus; return the residual power.

    Args:
        values: (40,) moments, scaled to a variance of 1 over the lags.
        limit_nm: width of the widest PSF in focus.
        pixel_nm: camera pixel.
    """
    constant = np.ones(len(values))
    wide = [autocorrelation(Gaussian(factor * limit_nm), pixel_nm) for factor in WIDE_FACTORS]
    _, residual = nnls(np.stack([constant, -constant, *wide], 1), values)  # the constant has either sign
    return float(residual**2)
