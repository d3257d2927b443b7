"""The width of the PSF from the frames alone.

Summed over the field, the covariance between pixels d apart is proportional to the PSF's autocorrelation at d,
wherever the emitters sit: R(d) = a * rho_sigma(d) + const. First differences in time keep out what moves or bleaches
slowly, the constant takes up what flickers everywhere, and lag 0 is left out because shot noise lives there alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from selfstorm.frames import Array
from selfstorm.optics import Gaussian

REACH_PX = 4
NARROWEST_PX, WIDEST_PX = 0.4, 4.0
NOMINAL_SIGMA_NM = 110.0  # 0.21 wavelength / NA of a far-red dye under an oil objective, and some aberration
LEAST_EXPLAINED = 0.9
MOST_DISAGREEMENT = 0.1


@dataclass(frozen=True, slots=True)
class Width:
    """A fitted width. explained: share of the covariances' variance that the Gaussian accounts for, at most 1."""

    sigma_px: float
    explained: float


def learn_psf(frames: Array, pixel_nm: float) -> Gaussian:
    """The Gaussian PSF of a movie, frames (T, H, W) in any linear unit; nominal optics when the data cannot tell.

    The two halves of the movie must agree within 10 %, and the fit must explain 90 % of the covariances.
    """
    half = len(frames) // 2
    if half < 8 or min(frames.shape[1:]) < 4 * REACH_PX:
        return Gaussian(NOMINAL_SIGMA_NM, "assumed: too few frames or pixels to learn it from")
    first, second, whole = (field_width(part) for part in (frames[:half], frames[half:], frames))
    apart = abs(first.sigma_px - second.sigma_px) / whole.sigma_px
    if whole.explained < LEAST_EXPLAINED or apart > MOST_DISAGREEMENT:
        return Gaussian(NOMINAL_SIGMA_NM, "assumed: the frames do not tell")
    return Gaussian(round(whole.sigma_px * pixel_nm, 1), "learned from the frames")


def field_width(frames: Array) -> Width:
    """Width of the PSF in camera pixels by least squares on the field-summed moments of first differences."""
    lags, moments = field_moments(frames)

    def fit(sigma_px: float) -> tuple[float, Array]:
        design = np.stack([_autocorrelation(lags, sigma_px), np.ones(len(lags))], 1)
        coefficients, *_ = np.linalg.lstsq(design, moments, rcond=None)
        residual = moments - design @ coefficients
        return float(residual @ residual), coefficients

    grid = np.geomspace(NARROWEST_PX, WIDEST_PX, 40)
    best = int(np.argmin([fit(s)[0] for s in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(lambda s: fit(s)[0], bounds=(low, high), method="bounded")
    misfit, coefficients = fit(float(found.x))
    total = float(((moments - moments.mean()) ** 2).sum())
    at_the_edge = best in (0, len(grid) - 1)
    explained = 1 - misfit / total if total > 0 and coefficients[0] > 0 and not at_the_edge else 0.0
    return Width(float(found.x), explained)


def field_moments(frames: Array) -> tuple[Array, Array]:
    """(40, 2) lags (dy, dx) and (40,) mean products of first differences that far apart, |dy|, |dx| <= 4."""
    _, height, width = frames.shape
    shape = (height + REACH_PX, width + REACH_PX)
    power = np.zeros((shape[0], shape[1] // 2 + 1))
    for before, after in pairwise(frames):
        difference = (after.astype(np.float64) - before) / np.sqrt(2)
        power += np.abs(np.fft.rfft2(difference - difference.mean(), shape)) ** 2
    products = np.fft.irfft2(power, shape) / (len(frames) - 1)
    lags = np.array(
        [(dy, dx) for dy in range(REACH_PX + 1) for dx in range(-REACH_PX, REACH_PX + 1) if (dy, dx) > (0, 0)]
    )
    counts = (height - lags[:, 0]) * (width - np.abs(lags[:, 1]))
    return lags, products[lags[:, 0], lags[:, 1]] / counts


def _autocorrelation(lags: Array, sigma_px: float) -> Array:
    """Autocorrelation of the pixel-integrated Gaussian at (dy, dx), in pixels."""
    spread = np.sqrt(2) * sigma_px

    def ramp(
        u: Array,
    ) -> Array:  # second integral of the Gaussian: two pixels' boxes are two differences of it
        return np.asarray(u * ndtr(u / spread) + spread * np.exp(-0.5 * (u / spread) ** 2) / np.sqrt(2 * np.pi))

    along = [ramp(d + 1.0) - 2 * ramp(d + 0.0) + ramp(d - 1.0) for d in lags.T]
    return np.asarray(along[0] * along[1])
