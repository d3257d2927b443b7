"""Bad data that would spoil a picture.

Hot pixels, saturated pixels, dark frames, flashes.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter, median_filter

from selfstorm.frames import Array

# The PSF spreads an emitter over pixels: in the middle of one, with a sigma of .35 pixels, it gives its neighbours a
# tenth of what the pixel gets. What stands out more than this is the pixel's own.
MIN_NEIGHBOUR_RATIO = 15.0
HOT_Z = 10.0  # robust standard deviations of a pixel's excess over the pixels around it
FLASH_RATIO = 5.0  # times the typical level above it: bleaching changes a window by less
FLASH_Z = 20.0
DARK_RATIO = 0.15  # of the typical level: bleaching is slower
MIN_DARK_PHOTONS = 5.0  # below the typical level: in a dim sample, smaller differences may be noise
MAX_VARIANCE_VALUES = 2**22  # of which the variance is computed at once
MAX_MEDIAN_PIXELS = 2**14  # for a median: its error is then a hundredth of their spread
MIN_GAP_Z = 5.0  # robust standard deviations of levels, between those of dark frames and of lit ones
MAX_BRIGHT_FRAMES = 8  # in a movie: more than these are no flashes
MIN_SATURATED = 20  # values at the top of the scale
MIN_PILE_UP = 5.0  # of the top value's count over that of the most frequent value below it
PILE_UP_VALUES = 64  # in which it is looked for: distinct values below the top
NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
AROUND = np.pad(np.zeros((5, 5), bool), 1, constant_values=True)  # 7 x 7, beyond most of a spot


def hot_pixels(frames: Array) -> Array:
    """Find the pixels whose mean stands out more than any emitter can.

    Args:
        frames: (T, H, W), any unit.

    Returns:
        (H, W) bool.
    """
    mean = frames.mean(0, dtype=np.float64)
    around = median_filter(mean, footprint=AROUND, mode="mirror")
    excess = mean - around
    spread = 1.48 * float(np.median(np.abs(excess - np.median(excess))))
    neighbours = maximum_filter(mean, footprint=NEIGHBOURS, mode="mirror") - around
    return np.asarray((excess > MIN_NEIGHBOUR_RATIO * neighbours) & (excess > HOT_Z * spread) & (excess > 0))


def interpolate_hot_pixels(frames: Array, hot: Array) -> Array:
    """Replace each hot pixel by the median of its good neighbours.

    Args:
        frames: (T, H, W), any unit.
        hot: (H, W) bool.

    Returns:
        The frames themselves without hot pixels, else a copy.
    """
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


def saturation_level(frames: Array) -> float:
    """Find the value at which the camera's converter clips.

    Light has a distribution that thins out towards bright values. At a converter's top all brighter values pile up.

    Args:
        frames: (T, H, W), any unit, hot pixels replaced.

    Returns:
        The level, infinite where no values pile up at the top.
    """
    top = frames.max(initial=0)
    at_top = int(np.count_nonzero(frames == top))
    if at_top < MIN_SATURATED:
        return np.inf
    bright = frames[(frames < top) & (frames > np.median(frames))]
    if not len(bright):
        return np.inf
    _, counts = np.unique(bright, return_counts=True)
    return float(top) if at_top > MIN_PILE_UP * counts[-PILE_UP_VALUES:].max() else np.inf


def levels(frames: Array) -> Array:
    """Measure the overall brightness of frames (T, H, W): (T,).

    It is the median over the pixels, in large fields over a part of them.
    """
    pixels = frames.reshape(len(frames), frames.shape[1] * frames.shape[2])
    return np.asarray(np.median(pixels[:, :: -(-pixels.shape[1] // MAX_MEDIAN_PIXELS)], 1))


def flashes(level: Array, known: Array) -> Array:
    """Find frames so bright that they show something other than the sample.

    Args:
        level: (T,) photons, brightness of the frames in question.
        known: (K,) photons, brightness of all frames to compare with, theirs included.

    Returns:
        (T,) bool.
    """
    typical = float(np.median(known))
    spread = 1.48 * float(np.median(np.abs(known - typical)))
    return np.asarray(level - typical > FLASH_RATIO * max(typical, 1.0) + FLASH_Z * spread)


def dark_among(frames: Array, level: Array) -> Array:
    """Find dark frames without knowing how bright lit ones are.

    Dark frames may be the most. Their levels lie apart from the others, and what the lit ones show is not in them: the
    slope of their mean over that of the others, pixel by pixel, is the ratio of the light, whatever the offset.

    Args:
        frames: (T, H, W), any unit.
        level: (T,) brightness of the frames in the same unit.

    Returns:
        (T,) bool.
    """
    none = np.zeros(len(level), bool)
    candidates = np.flatnonzero(np.isfinite(level))
    while len(candidates) > MAX_BRIGHT_FRAMES:
        order = candidates[np.argsort(level[candidates], kind="stable")]
        gaps = np.diff(level[order])
        at = int(gaps.argmax()) + 1
        low, high = order[:at], order[at:]
        spread = max(1.48 * float(np.median(np.abs(level[g] - np.median(level[g])))) for g in (low, high))
        if gaps[at - 1] <= MIN_GAP_Z * spread:
            return none
        if len(high) > MAX_BRIGHT_FRAMES:
            none[low] = _light_ratio(frames[low], frames[high]) < DARK_RATIO
            return none
        candidates = low  # the others are flashes
    return none


def _light_ratio(frames: Array, others: Array) -> float:
    """Measure how bright frames are against others that show something.

    Returns:
        The slope of one mean frame over the other; 1 where the others show nothing but noise.
    """
    mean, pattern = (z.mean(0, dtype=np.float64) for z in (frames, others))
    mean, centred = mean - mean.mean(), pattern - pattern.mean()
    noise = float((_variance(others) / len(others)).sum())
    power = float((centred * centred).sum()) - noise
    return float((mean * centred).sum()) / power if power > noise else 1.0


def _variance(frames: Array) -> Array:
    """Compute the variance over frames (T, H, W) in float64: (H, W).

    Some rows at a time: the differences from the mean take eight bytes a value.
    """
    together = max(1, MAX_VARIANCE_VALUES // (len(frames) * frames.shape[2]))
    rows = range(0, frames.shape[1], together)
    return np.concatenate([frames[:, row : row + together].var(0, dtype=np.float64) for row in rows])


def dark_frames(level: Array, typical: float, dark: float = 0.0) -> Array:
    """Find frames for which the light was off.

    Args:
        level: (T,) photons, brightness of the frames in question.
        typical: photons, brightness of a usual frame.
        dark: photons, brightness of dark frames, 0 if the camera's offset is right.

    Returns:
        (T,) bool.
    """
    return np.asarray((level < dark + DARK_RATIO * (typical - dark)) & (typical - level > MIN_DARK_PHOTONS))
