"""Correlation of changes far apart, which blinking emitters do not have.

Emitters blink one by one: pixels farther apart than a PSF share nothing. A pattern that moves or flickers, such as the
stripes of a demonstration camera, changes everywhere at once.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.fft import irfft2, rfft2

from selfstorm.frames import Array

MAX_FRAMES, MIN_PAIRS = 40, 4
MIN_SIDE_PX, MAX_SIDE_PX = 20, 128  # the middle of larger fields is measured
MIN_DISTANCE_PX, MAX_DISTANCE_PX = 8, 14
MIN_NEAR_Z = 5.0  # of neighbours, below which the frames show nothing but noise


def far_correlation(frames: Array) -> float | None:
    """Correlate changes of pixels 8 to 14 apart, against neighbours.

    Autocorrelations of two sets of frame pairs are multiplied, so that noise cancels. First differences remove what
    changes slowly. The mean frame is projected out, so that a flickering lamp leaves no trace of what it lights.

    Args:
        frames: (T, H, W) in any linear unit; the newest are measured.

    Returns:
        0 for blinking emitters to 1 for a pattern; None where noise hides them, or for too few frames or pixels.
    """
    frames = _middle(frames[-MAX_FRAMES:]).astype(np.float32)
    pairs = len(frames) // 2
    if pairs < MIN_PAIRS or min(frames.shape[1:]) < MIN_SIDE_PX:
        return None
    change = without_shared(frames.mean(0), frames[1 : 2 * pairs : 2] - frames[: 2 * pairs : 2])
    near, far = _lags(change)
    noise = float(np.square(change).mean()) / math.sqrt(change.size / 2)  # of a covariance, were all changes noise
    if not near.min() > MIN_NEAR_Z * noise:
        return None
    return min(1.0, math.sqrt(max(0.0, float(far.prod(0).mean() / near.prod()))))


def _middle(frames: Array) -> Array:
    top, left = (max(0, side - MAX_SIDE_PX) // 2 for side in frames.shape[1:])
    return frames[:, top : top + MAX_SIDE_PX, left : left + MAX_SIDE_PX]


def without_shared(mean: Array, change: Array) -> Array:
    """Subtract the average and the mean frame's share of each change.

    Args:
        mean: (H, W), of the frames.
        change: (pairs, H, W) from frame to frame.
    """
    pattern = mean - mean.mean()
    change = change - change.mean((1, 2), keepdims=True)
    share = (change * pattern).sum((1, 2), keepdims=True) / max(float(np.square(pattern).sum()), 1e-12)
    return np.asarray(change - share * pattern)


def _lags(change: Array) -> tuple[Array, Array]:
    """Return autocorrelations of two sets of changes.

    Args:
        change: (pairs, H, W).

    Returns:
        (2,) of neighbours, and (2, lags) of pixels far apart.
    """
    height, width = change.shape[1:]
    shape = height + MAX_DISTANCE_PX, width + MAX_DISTANCE_PX
    power = np.square(np.abs(rfft2(change, shape)))
    auto = irfft2(np.stack([power[::2].mean(0), power[1::2].mean(0)]), shape)
    dy = np.arange(MAX_DISTANCE_PX + 1)[:, None]
    dx = np.arange(-MAX_DISTANCE_PX, MAX_DISTANCE_PX + 1)
    auto = auto[:, dy, dx] / ((height - dy) * (width - np.abs(dx)))
    distance = np.hypot(dy, dx)
    ring = (distance >= MIN_DISTANCE_PX) & (distance <= MAX_DISTANCE_PX)
    return auto[:, (distance > 0) & (distance < 2)].mean(1), auto[:, ring]
