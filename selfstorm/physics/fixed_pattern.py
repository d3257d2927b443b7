"""The camera's fixed pattern: a check that maps belong to the frames.

Offsets differ from pixel to pixel, which light imaged by a PSF hardly does. Second differences along both axes leave
of a mean frame little but that pattern and noise; their slope over those of the calibrated offsets is 1 where the
calibration belongs to the pixels, and 0 where it belongs to others.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.physics.camera_maps import CameraCalibration

MAX_FRAMES = 200
MIN_PIXELS = 100
MIN_SLOPE = 0.7
SLOPE_Z = 6.0


def check_fixed_pattern(frames: Array, calibration: CameraCalibration) -> None:
    """Check that frames show the offsets of a calibration.

    Args:
        frames: (T, H, W) ADU.
        calibration: of the same pixels, as it is thought.

    Raises:
        InputError: they show other ones.
    """
    slope, error = pattern_slope(frames[:MAX_FRAMES].mean(0, dtype=np.float64), calibration)
    if slope + SLOPE_Z * error < MIN_SLOPE:
        raise InputError(
            f"the frames do not show the fixed pattern of this camera (slope {slope:.2f} +- {error:.2f}, expected 1)",
            where=f"camera calibration {calibration.name}",
            hint="check that it is the camera, and that the frames state their region of interest on the sensor",
        )


def pattern_slope(mean: Array, calibration: CameraCalibration) -> tuple[float, float]:
    """Fit the pattern of a mean frame (H, W) ADU by the calibrated offsets.

    Returns:
        Slope and standard error; infinite where the offsets are too few or all alike.
    """
    good = ~binary_dilation(calibration.bad, np.ones((3, 3), bool))[1:-1, 1:-1]
    if good.sum() < MIN_PIXELS:
        return 1.0, np.inf
    shown, known = (_pattern(each)[good] for each in (mean, calibration.offset_adu.astype(np.float64)))
    power = float(known @ known)
    if power <= 0:
        return 1.0, np.inf
    slope = float(known @ shown) / power
    residual = shown - slope * known
    return slope, float(np.sqrt((known**2) @ (residual**2))) / power


def _pattern(image: Array) -> Array:
    """Return second differences along both axes, (H - 2, W - 2)."""
    return np.diff(np.diff(image, 2, 0), 2, 1)
