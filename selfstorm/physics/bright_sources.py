"""Steady bright sources: beads and dirt that outshine the sample.

Their shot noise alone is as large as the blinking of the sample, and the density would be theirs. They are masked, and
the sample beside them is left alone. Measurements: docs/decisions/0023.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import center_of_mass, label

from selfstorm.frames import Array

MIN_PEAK_PHOTONS = 2_000.0  # in a pixel and frame, all the time: no molecule is as bright
MIN_BRIGHTNESS_RATIO = 30.0  # of the peak over what the sample and its background show
MAX_FANO = 3.0  # variance over mean, in photons: 1 for steady light, 2 if amplified; blinking is far above
SAMPLE_QUANTILE = 0.9  # of the pixels: the bright ones of the sample
MAX_RADIUS_PX = 12
MAX_SOURCES = 20


def bright_sources(photons: Array, clipped: Array | None = None) -> Array:
    """Find the pixels around steady bright sources.

    Each is a disc, as far as the median over a ring around the source exceeds the bright pixels of the sample.

    Args:
        photons: (T, H, W).
        clipped: (H, W) bool, pixels that always show the largest value of the camera; filled with what is beside them.

    Returns:
        (H, W) bool.
    """
    mean = photons.mean(0, dtype=np.float64)
    background = float(np.median(mean))
    sample = max(float(np.quantile(mean, SAMPLE_QUANTILE)) - background, np.sqrt(max(background, 1.0)))
    threshold = max(MIN_PEAK_PHOTONS, MIN_BRIGHTNESS_RATIO * (max(background, 0.0) + sample))
    excess, found = mean - background, np.zeros(mean.shape, bool)
    if clipped is not None:
        for y, x in center_of_mass(clipped, *_regions(clipped)):
            found |= _disc(excess, (float(y), float(x)), sample)
    for _ in range(MAX_SOURCES):
        left = np.where(found, 0, excess)
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        if left[y, x] < threshold or photons[:, y, x].var(dtype=np.float64) > MAX_FANO * mean[y, x]:
            break
        found |= _disc(excess, (float(y), float(x)), sample)
    return found if found.mean() < 0.5 else np.zeros_like(found)


def _regions(chosen: Array) -> tuple[Array, range]:
    """Label the connected regions of (H, W) bool, from 1 on."""
    numbered, count = label(chosen)
    return numbered, range(1, count + 1)


def _disc(excess: Array, centre: tuple[float, float], sample: float) -> Array:
    """Return the disc around a source that outshines the sample: (H, W) bool."""
    rows, columns = np.indices(excess.shape)
    distance, radius = np.hypot(rows - centre[0], columns - centre[1]), 1
    while radius < MAX_RADIUS_PX and np.median(excess[abs(distance - radius) <= 0.5]) > sample:
        radius += 1
    return np.asarray(distance <= radius + 0.5)
