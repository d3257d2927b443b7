"""Offset and gain from a movie alone, with error bars.

The estimate is that of selfstorm.physics.camera; what leaving out one tenth of the frames changes in it shows its error
(jackknife).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.physics.bad_data import hot_pixels, interpolate_hot_pixels
from selfstorm.physics.camera import ASSUMED, MAX_FRAMES, Camera, calibrate, mean_variance

PARTS = 10
MIN_FRAMES = 2 * PARTS


@dataclass(frozen=True, eq=False)
class SequenceCamera:
    """A camera as a movie shows it.

    Attributes:
        camera: offset and gain.
        offset_error_adu: standard error.
        gain_error_adu: standard error of the gain, ADU per photon.
        level_adu: (20,) mean of pixels alike, the darkest first; empty where the field is too small.
        variance_adu2: (20,) their noise variance.
    """

    camera: Camera
    offset_error_adu: float
    gain_error_adu: float
    level_adu: Array
    variance_adu2: Array

    @property
    def measured(self) -> bool:
        """False where the movie has too little contrast, and values are assumed."""
        return self.camera.origin != ASSUMED


def camera_of_sequence(frames: Array) -> SequenceCamera:
    """Estimate a camera from a movie.

    Args:
        frames: (T, H, W) ADU; of more than the estimate uses, the first ones.

    Raises:
        InputError: there are too few.
    """
    if len(frames) < MIN_FRAMES:
        raise InputError(f"{len(frames)} frames", hint=f"give at least {MIN_FRAMES}, better {MAX_FRAMES}")
    frames = frames[:MAX_FRAMES].astype(np.float32)
    frames = interpolate_hot_pixels(frames, hot_pixels(frames))
    parts = np.array_split(np.arange(len(frames)), PARTS)
    others = [calibrate(np.delete(frames, part, 0)) for part in parts]
    values = np.array([(other.offset_adu, other.gain_adu_per_electron) for other in others])
    errors = np.sqrt((PARTS - 1) / PARTS * ((values - values.mean(0)) ** 2).sum(0))
    level, variance = mean_variance(frames) or (np.zeros(0), np.zeros(0))
    return SequenceCamera(calibrate(frames), float(errors[0]), float(errors[1]), level, variance)
