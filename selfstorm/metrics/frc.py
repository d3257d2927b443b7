"""Fourier ring correlation of two pictures of the same structure.

Reference:
    Nieuwenhuizen et al., Measuring image resolution in optical nanoscopy, Nature Methods 10, 557 (2013).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft2

from selfstorm.errors import InputError

Floats = NDArray[np.float64]
FRC_THRESHOLD = 1 / 7
TAPERED_SHARE = 0.25  # of a picture's side, both ends together
HALVES_THRESHOLD = 0.18
BAND = 1.15


def frc_curve(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Correlate two pictures ring by ring in Fourier space.

    Of the top-left square, mean removed, under a Tukey window (a quarter tapered).

    Args:
        first: (H, W), 4 x 4 or larger.
        second: likewise, of the same shape.

    Returns:
        Frequencies in cycles per cell, and the correlation of each ring.

    Raises:
        InputError: The shapes differ or are too small.

    Reference:
        Nieuwenhuizen et al. 2013, equation 1.
    """
    if first.ndim != 2 or first.shape != second.shape or min(first.shape) < 4:
        raise InputError(
            f"pictures of shapes {first.shape} and {second.shape}",
            where="frc_curve",
            hint="give two of one shape, 4 x 4 or larger",
        )
    side = min(first.shape)
    window = tukey(side)
    spectra = [rfft2((p[:side, :side] - p[:side, :side].mean()) * window * window[:, None]) for p in (first, second)]
    along_y, along_x = np.fft.fftfreq(side), np.fft.rfftfreq(side)
    ring_of = np.round(np.hypot(along_y[:, None], along_x) * side).astype(np.intp).ravel()
    rings = np.arange(1, side // 2)
    # of a real picture half of the spectrum is kept: every column but those of the frequencies 0 and 1/2 stands for two
    counted = np.where((along_x == 0) | (along_x == 0.5), 1.0, 2.0)

    def over_rings(values: Floats) -> Floats:
        return np.bincount(ring_of, (values * counted).ravel())[rings].astype(np.float64)

    shared = over_rings((spectra[0] * spectra[1].conj()).real)
    powers = over_rings(np.abs(spectra[0]) ** 2) * over_rings(np.abs(spectra[1]) ** 2)
    return rings / side, shared / np.sqrt(powers + 1e-30)


def tukey(side: int) -> Floats:
    """Make a (side,) Tukey window: 1 in the middle, a cosine to 0 at the ends.

    Written here because importing scipy.signal adds a second to every start of the daemon.
    """
    cell = np.arange(side)
    from_end = np.minimum(cell, side - 1 - cell)
    taper = np.minimum(2 * from_end / (TAPERED_SHARE * (side - 1)), 1.0)
    return np.asarray((1 - np.cos(np.pi * taper)) / 2)


def frc_resolution_nm(first: Floats, second: Floats, pitch_nm: float, threshold: float = FRC_THRESHOLD) -> float:
    """Find the period at which the FRC first falls below a threshold.

    The FRC is averaged over 5 rings.

    Args:
        first: (H, W), 4 x 4 or larger.
        second: likewise, of the same shape.
        pitch_nm: Size of a cell.
        threshold: Of the correlation.

    Returns:
        The period in nm; two cells where the correlation never falls that low.
    """
    frequency, correlation = frc_curve(first, second)
    smooth = np.convolve(np.pad(correlation, 2, mode="edge"), np.full(5, 0.2), "valid")
    below = np.flatnonzero(smooth < threshold)
    return float(pitch_nm / frequency[below[0]]) if below.size else 2 * pitch_nm


def halves_resolution_nm(first: Floats, second: Floats, pitch_nm: float, whole_over_half: float = 2.0) -> float | None:
    """Find the resolution of a structure from two halves of its frames.

    The FRC is averaged over bands of frequency, so that chance in single rings of a small field does not decide.

    A picture of all frames correlates with the structure by sqrt(2 r / (1 + r)) where its halves correlate by r, so 1/7
    of the halves stands for 1/2 of the picture. What both halves get wrong alike makes r larger than that: measured,
    0.18 stands for 1/2. Of fewer frames the same structure stands out less, r / (1 - r) in proportion.

    Args:
        first: (H, W), 4 x 4 or larger.
        second: likewise, of the same shape.
        pitch_nm: Size of a cell.
        whole_over_half: Independent frames of the picture, over those that a half was made of.

    Returns:
        The period in nm, at least two cells; None where the halves share nothing.

    Reference:
        Rosenthal & Henderson, Optimal determination of particle orientation, absolute hand, and contrast loss in
        single-particle electron cryomicroscopy, Journal of Molecular Biology 333, 721 (2003), for the 1/2.
    """
    signal = 2 / whole_over_half * HALVES_THRESHOLD / (1 - HALVES_THRESHOLD)
    return crossing_period_nm(first, second, pitch_nm, signal / (1 + signal))


def crossing_period_nm(first: Floats, second: Floats, pitch_nm: float, threshold: float) -> float | None:
    """Find the period at which the FRC in bands first falls below a threshold.

    Arguments as of `frc_resolution_nm`.

    Returns:
        The period in nm, at least two cells; None where it is below the threshold from the first ring on.
    """
    frequency, correlation = frc_curve(first, second)
    shared = _over_bands(frequency, correlation)
    below = np.flatnonzero(shared < threshold)
    if not below.size:
        return 2 * pitch_nm
    ring = int(below[0])
    if ring == 0:
        return None
    between = (shared[ring - 1] - threshold) / (shared[ring - 1] - shared[ring])
    crossing = frequency[ring - 1] + between * (frequency[ring] - frequency[ring - 1])
    return float(pitch_nm / crossing)


def _over_bands(frequency: Floats, values: Floats) -> Floats:
    """Average values of rings over bands of 15 % to both sides."""
    sizes = frequency  # a ring has as many cells as its radius
    ends = np.concatenate([[0.0], np.cumsum(sizes)]), np.concatenate([[0.0], np.cumsum(sizes * values)])
    low = np.searchsorted(frequency, frequency / BAND)
    high = np.searchsorted(frequency, frequency * BAND, side="right")
    weights, sums = (end[high] - end[low] for end in ends)
    return np.asarray(sums / weights)
