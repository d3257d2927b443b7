"""Resolution and fidelity of a picture from two halves of its frames.

Both are of localizations that were made without anything in common but optics and camera, and need no ground truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

from selfstorm.frames import Array
from selfstorm.localizations import Localizations
from selfstorm.metrics.frc import halves_resolution_nm, tukey

CELL_NM, MAX_CELLS = 12.5, 2048  # along a side; of a part that takes more they are larger
BLUR_NM = 20.0  # as of the scores against ground truth
MAP_BLUR_NM, MAP_CELLS = 90.0, 4  # of the trust map: so many cells are one
MIN_LOCALIZATIONS = 50  # of a half
DRIFT_BLUR_NM, MAX_DRIFT_NM = 40.0, 400.0
MIN_DRIFT_CORRELATION, MIN_DRIFT_GAIN = 0.3, 0.05  # by chance, few localizations correlate best somewhere else
MAX_RESOLUTION_NM = 260.0  # about the width of a PSF: coarser, the picture resolves no more than the camera

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HalvesFound:
    """Localizations of two halves of the frames.

    Attributes:
        first: of one half, in the order of its frames, positions from the corner of the part.
        second: of the other.
        height_nm: of the part of the field that both are of.
        width_nm: likewise.
        whole_over_half: independent frames of the picture, over those that a half was made of.
        frames: of both halves, in which emitters were looked for.
    """

    first: Localizations
    second: Localizations
    height_nm: float
    width_nm: float
    whole_over_half: float = 2.0
    frames: int = 0

    @property
    def cell_nm(self) -> float:
        """Side of the cells."""
        return cell_of(self.height_nm, self.width_nm)

    def counts(self) -> tuple[Floats, Floats]:
        """Count the localizations of each half on cells."""
        cell_nm = self.cell_nm
        rows, columns = (max(int(side / cell_nm), 4) for side in (self.height_nm, self.width_nm))
        edges = np.arange(rows + 1) * cell_nm, np.arange(columns + 1) * cell_nm
        first, second = (
            np.histogram2d(half.y_nm.cpu().numpy(), half.x_nm.cpu().numpy(), bins=edges)[0]
            for half in (self.first, self.second)
        )
        return first, second

    @property
    def too_few(self) -> bool:
        """True where a half has too few localizations to be compared."""
        return min(len(self.first), len(self.second)) < MIN_LOCALIZATIONS


def cell_of(height_nm: float, width_nm: float) -> float:
    """Return the side of the cells on which a part of the field is counted.

    It is 12.5 nm, but where the camera's pixels are said to be so large that the cells would take gigabytes. Finer than
    such pixels there is nothing to compare.
    """
    return max(CELL_NM, max(height_nm, width_nm) / MAX_CELLS)


def structure_resolution_nm(halves: HalvesFound) -> float | None:
    """Estimate the resolution of the structure, in nm.

    Returns:
        The period up to which the picture of all frames correlates with the structure by 1/2; None where that is not
        finer than the PSF.
    """
    if halves.too_few:
        return None
    resolution = halves_resolution_nm(*halves.counts(), halves.cell_nm, halves.whole_over_half)
    return None if resolution is None or resolution > MAX_RESOLUTION_NM else resolution


def fidelity(halves: HalvesFound) -> float:
    """Estimate the correlation of the whole picture with the structure.

    Halves that correlate by r leave sqrt(k r / (1 + (k - 1) r)) for a whole of k times as many frames (Spearman 1910,
    Brown 1910), both blurred by 20 nm; 0..1.
    """
    return whole_from_halves(correlation(*halves.counts(), halves.cell_nm), halves.whole_over_half)


def correlation(first: Floats, second: Floats, cell_nm: float = CELL_NM) -> float:
    """Correlate two pictures on cells, both blurred by 20 nm."""
    one, two = (gaussian_filter(picture, BLUR_NM / cell_nm) for picture in (first, second))
    one, two = one - one.mean(), two - two.mean()
    power = float((one**2).sum() * (two**2).sum())
    return float((one * two).sum()) / math.sqrt(power) if power > 0 else 0.0


def whole_from_halves(r: float, whole_over_half: float = 2.0) -> float:
    """Return the correlation of a whole with the truth, from its halves' r."""
    r = max(r, 0.0)
    return math.sqrt(whole_over_half * r / (1 + (whole_over_half - 1) * r))


def drift_nm(halves: HalvesFound) -> float | None:
    """Measure the shift from the structure of one half to that of the other.

    Returns:
        The distance in nm at which the two, blurred by 40 nm, correlate best; None where that is hardly better than
        unmoved.
    """
    cell_nm = halves.cell_nm
    blur = DRIFT_BLUR_NM / cell_nm
    one, two = (gaussian_filter(picture, blur) for picture in halves.counts())
    spectra = [rfft2((p - p.mean()) * tukey(p.shape[0])[:, None] * tukey(p.shape[1])) for p in (one, two)]
    shared = irfft2(spectra[0].conj() * spectra[1], s=one.shape)
    reach = int(min(MAX_DRIFT_NM / cell_nm, (min(one.shape) - 1) // 2))
    near = np.roll(shared, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    own = math.sqrt(math.prod(float((irfft2(np.abs(s) ** 2, s=one.shape))[0, 0]) for s in spectra)) or 1.0
    best, unmoved = float(near[row, column]) / own, float(near[reach, reach]) / own
    drifts = best > MIN_DRIFT_CORRELATION and best - unmoved > MIN_DRIFT_GAIN
    return cell_nm * math.hypot(row - reach, column - reach) if drifts else None


def trust_map(halves: HalvesFound, pixel_nm: float, reach_nm: float = 400.0) -> Array:
    """Map where two halves agree.

    Args:
        halves: of a part of the field.
        pixel_nm: camera pixel.
        reach_nm: standard deviation of the Gaussian over which they are compared.

    Returns:
        (H, W) float32 on camera pixels, 0..1: what `fidelity` is for the whole field, at 90 nm, which ranks places
        better than finer blurs do; 0 where nothing was found.
    """
    cell_nm = halves.cell_nm * MAP_CELLS
    one, two = (gaussian_filter(_coarse(counts), MAP_BLUR_NM / cell_nm) for counts in halves.counts())

    def local(z: Floats) -> Floats:
        return np.asarray(gaussian_filter(z, reach_nm / cell_nm))

    mean_one, mean_two = local(one), local(two)
    shared = local(one * two) - mean_one * mean_two
    power = np.sqrt(np.maximum((local(one * one) - mean_one**2) * (local(two * two) - mean_two**2), 0))
    r = np.clip(np.divide(shared, power, out=np.zeros_like(shared), where=power > 0), 0, 1)
    rows, columns = (round(side / pixel_nm) for side in (halves.height_nm, halves.width_nm))
    at_y, at_x = (
        np.minimum((np.arange(n) + 0.5) * pixel_nm / cell_nm, r.shape[axis] - 1).astype(np.intp)
        for axis, n in enumerate((rows, columns))
    )
    at, k = r[np.ix_(at_y, at_x)], halves.whole_over_half
    return np.asarray(np.sqrt(k * at / (1 + (k - 1) * at)), np.float32)


def _coarse(counts: Floats) -> Floats:
    """Add up cells, of which those left over at the end are padded."""
    rows, columns = (-side % MAP_CELLS for side in counts.shape)
    padded = np.pad(counts, ((0, rows), (0, columns)))
    height, width = (side // MAP_CELLS for side in padded.shape)
    return np.asarray(padded.reshape(height, MAP_CELLS, width, MAP_CELLS).sum((1, 3)), np.float64)
