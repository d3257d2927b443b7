"""Bad data that would spoil a whole picture: hot pixels, dark frames, flashes of light."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter, median_filter

from selfstorm.frames import Array

# The PSF spreads an emitter over pixels: in the middle of one, with a sigma of .35 pixels, it gives its neighbours a
# tenth of what the pixel gets. What stands out more than this is the pixel's own.
MIN_NEIGHBOUR_RATIO = 15.0
HOT_Z = 10.0  # robust standard deviations of what pixels differ from their neighbours by
FLASH_RATIO = 5.0  # times the typical level above it: bleaching changes a window by less
FLASH_Z = 20.0
DARK_RATIO = 0.15  # of the typical level, and by so many photons: bleaching is slower, and a dim sample may be noise
MIN_DARK_PHOTONS = 5.0
MAX_MEDIAN_PIXELS = 2**14  # for a median: a hundredth of their spread is what it is wrong by
NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
AROUND = np.pad(np.zeros((5, 5), bool), 1, constant_values=True)  # 7 x 7, beyond most of a spot


def hot_pixels(frames: Array) -> Array:
    """(H, W) bool of frames (T, H, W) in any unit: pixels whose mean stands out more than any emitter can."""
    mean = frames.mean(0, dtype=np.float64)
    around = median_filter(mean, footprint=AROUND, mode="mirror")
    excess = mean - around
    spread = 1.48 * float(np.median(np.abs(excess - np.median(excess))))
    neighbours = maximum_filter(mean, footprint=NEIGHBOURS, mode="mirror") - around
    return np.asarray((excess > MIN_NEIGHBOUR_RATIO * neighbours) & (excess > HOT_Z * spread) & (excess > 0))


def interpolate_hot_pixels(frames: Array, hot: Array) -> Array:
    """The frames (T, H, W), each hot pixel at the median of its neighbours that are not; a copy if there are any."""
    if not hot.any():
        return frames
    out = frames.copy()
    height, width = hot.shape
    for y, x in np.argwhere(hot):
        rows, columns = slice(max(y - 1, 0), min(y + 2, height)), slice(max(x - 1, 0), min(x + 2, width))
        good = ~hot[rows, columns]
        if good.any():
            out[:, y, x] = np.median(frames[:, rows, columns][:, good], 1)
    return out


def levels(frames: Array) -> Array:
    """(T,) how bright frames (T, H, W) are all over: their medians, in large fields of some of their pixels."""
    pixels = frames.reshape(len(frames), frames.shape[1] * frames.shape[2])
    return np.asarray(np.median(pixels[:, :: -(-pixels.shape[1] // MAX_MEDIAN_PIXELS)], 1))


def flashes(level: Array, known: Array) -> Array:
    """(T,) bool of frames with those levels, photons: so much brighter than most that they show something else.

    known: (K,) levels of all frames to compare with, theirs too.
    """
    typical = float(np.median(known))
    spread = 1.48 * float(np.median(np.abs(known - typical)))
    return np.asarray(level - typical > FLASH_RATIO * max(typical, 1.0) + FLASH_Z * spread)


def dark_frames(level: Array, typical: float) -> Array:
    """(T,) bool of frames with those levels, photons: the light was off."""
    return np.asarray((level < DARK_RATIO * typical) & (typical - level > MIN_DARK_PHOTONS))
