"""Width of the PSF from images of beads, plane by plane.

Each isolated bead is fitted by an elliptic Gaussian over the pixels' areas and a constant, in every plane of a stack.
The medians over the beads are the width at each focus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.optimize import least_squares
from scipy.special import erf

from selfstorm.errors import InputError
from selfstorm.frames import Array

REACH_PX = 7
MIN_Z = 8.0  # robust standard deviations of a bead's peak over the field
MAX_BEADS = 100
START_SIGMA_PX = 1.3
SIGMA_PX = (0.3, 6.0)
MIN_GOOD_BEADS = 1


@dataclass(frozen=True, eq=False)
class BeadPsf:
    """The PSF's width over the planes of a stack.

    Attributes:
        sigma_y_nm: (Z,) median over the beads; NaN where none could be fitted.
        sigma_x_nm: (Z,) likewise.
        spread_nm: (Z,) robust standard deviation of the mean width over the beads.
        beads: number of beads.
        focus: plane in which the PSF is narrowest.
        image: (15, 15) mean bead in that plane, background subtracted, sum 1.
    """

    sigma_y_nm: Array
    sigma_x_nm: Array
    spread_nm: Array
    beads: int
    focus: int
    image: Array

    @property
    def sigma_nm(self) -> float:
        """Mean of both widths in focus."""
        return float(self.sigma_y_nm[self.focus] + self.sigma_x_nm[self.focus]) / 2


def bead_psf(stack: Array, pixel_nm: float, bead_nm: float = 0.0) -> BeadPsf:
    """Measure the width of the PSF in every plane of a bead stack.

    Args:
        stack: (Z, H, W) ADU, one plane a frame.
        pixel_nm: camera pixel in the sample.
        bead_nm: diameter of the beads, whose own width is subtracted.

    Raises:
        InputError: there is no isolated bead.
    """
    at = find_beads(stack.mean(0, dtype=np.float64))
    if not len(at):
        raise InputError("shows no isolated bead", hint=f"give beads at least {2 * REACH_PX} pixels apart")
    own_px2 = (bead_nm / pixel_nm) ** 2 / 20  # variance of a ball's projection along one axis
    fits = np.full((len(stack), len(at), 2), np.nan)
    for plane, image in enumerate(stack):
        for number, (y, x) in enumerate(at):
            fits[plane, number] = _widths_px(_patch(image, y, x), own_px2)
    fits *= pixel_nm
    fitted = np.isfinite(fits).all(2).sum(1) >= MIN_GOOD_BEADS
    if not fitted.any():
        raise InputError("shows no bead that a spot fits", hint="give a stack through the focus of single beads")
    median, spread = np.full((len(stack), 2), np.nan), np.full(len(stack), np.nan)
    median[fitted] = np.nanmedian(fits[fitted], 1)
    width = fits[fitted].mean(2)
    spread[fitted] = 1.48 * np.nanmedian(np.abs(width - np.nanmedian(width, 1)[:, None]), 1)
    focus = int(np.nanargmin(median.sum(1)))
    return BeadPsf(median[:, 0], median[:, 1], spread, len(at), focus, _mean_bead(stack[focus], at))


def find_beads(mean: Array) -> Array:
    """Find isolated beads, the brightest first: (N, 2) rows and columns.

    Args:
        mean: (H, W), mean of all planes.
    """
    smooth = gaussian_filter(mean, 1.0) - gaussian_filter(mean, 4.0)
    spread = 1.48 * float(np.median(np.abs(smooth - np.median(smooth))))
    peaks = (smooth == maximum_filter(smooth, 3)) & (smooth > MIN_Z * max(spread, 1e-12))
    at = np.argwhere(peaks)
    height, width = mean.shape
    apart = np.abs(at[:, None] - at).max(2) + 10**6 * np.eye(len(at), dtype=np.int64)
    alone = apart.min(1, initial=10**6) > REACH_PX
    inside = ((at >= REACH_PX) & (at < np.array([height, width]) - REACH_PX)).all(1)
    at = at[alone & inside]
    return np.asarray(at[np.argsort(-smooth[*at.T])][:MAX_BEADS])


def _patch(image: Array, y: int, x: int) -> Array:
    rows, columns = slice(y - REACH_PX, y + REACH_PX + 1), slice(x - REACH_PX, x + REACH_PX + 1)
    return image[rows, columns].astype(np.float64)


def _widths_px(patch: Array, own_px2: float) -> tuple[float, float]:
    """Fit the widths along y and x in pixels; NaN where the fit fails."""
    level, peak = float(np.median(patch)), float(patch.max() - np.median(patch))
    if peak <= 0:
        return np.nan, np.nan
    start = np.array([REACH_PX, REACH_PX, START_SIGMA_PX, START_SIGMA_PX, 2 * np.pi * START_SIGMA_PX**2 * peak, level])
    low = [REACH_PX - 3, REACH_PX - 3, SIGMA_PX[0], SIGMA_PX[0], 0.0, -np.inf]
    high = [REACH_PX + 3, REACH_PX + 3, SIGMA_PX[1], SIGMA_PX[1], np.inf, np.inf]

    def residual(theta: Array) -> Array:
        y, x, sigma_y, sigma_x, photons, background = theta
        return np.asarray((photons * np.outer(_shares(y, sigma_y), _shares(x, sigma_x)) + background - patch).ravel())

    found = least_squares(residual, start, bounds=(low, high), x_scale=np.maximum(np.abs(start), 0.1))
    widths = found.x[2:4]
    if not found.success or (widths > 0.99 * SIGMA_PX[1]).any() or (widths**2 <= own_px2).any():
        return np.nan, np.nan
    sigma_y, sigma_x = np.sqrt(widths**2 - own_px2)
    return float(sigma_y), float(sigma_x)


def _shares(centre_px: float, sigma_px: float) -> Array:
    """Integrate a Gaussian over the pixels of a patch along one axis."""
    edges = (np.arange(2 * REACH_PX + 2) - 0.5 - centre_px) / (np.sqrt(2) * sigma_px)
    return np.asarray(np.diff(erf(edges)) / 2)


def _mean_bead(image: Array, at: Array) -> Array:
    patches = [_patch(image, y, x) for y, x in at]
    mean = np.mean([patch - np.median(patch) for patch in patches], 0)
    return np.asarray(mean / max(float(mean.sum()), 1e-12))
