"""Select frames that show the sample.

Left out are frames that are not finite, flashes, and frames recorded without light.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from selfstorm.frames import Array
from selfstorm.physics.bad_data import dark_among, dark_frames, flashes, levels

MAX_LEVELS = 100  # frames whose brightness is the reference
MAX_DARK_FRAMES = 500  # in a row; after more of them the dark is the sample
MAX_FLASH_FRAMES = 8  # in a row; after more of them the light has changed
NOT_FINITE = "not finite"
FLASH = "brighter as a whole than blinking can be"
DARK = "recorded while the light was off"

Rejected = tuple[tuple[int, str], ...]


@dataclass(frozen=True, eq=False)
class LightLevels:
    """Brightness of the last valid frames.

    Attributes:
        levels: (N,) brightness of the last valid frames.
        dark_run: dark frames in a row up to now.
        flash_run: flashes in a row up to now.
        dark: brightness of dark frames among the first ones, which an estimated offset may miss; 0 if there were none.
    """

    levels: Array = field(default_factory=lambda: np.zeros(0))
    dark_run: int = 0
    flash_run: int = 0
    dark: float = 0.0


def select_valid_frames(light: LightLevels, photons: Array, numbers: Array) -> tuple[Array, LightLevels, Rejected]:
    """Select the frames that show the sample.

    Args:
        light: brightness of the frames before.
        photons: (T, H, W) float32.
        numbers: (T,) of the frames in their stream.

    Returns:
        (T,) bool, which frames are valid; the brightness from here on; number and reason of each rejected frame.
    """
    finite = np.asarray(np.isfinite(photons).all((1, 2)))
    level = np.zeros(len(photons))
    level[finite] = levels(photons[finite])
    none = np.zeros(len(photons), bool)
    if len(light.levels):
        dark = finite & dark_frames(level, float(np.median(light.levels)), light.dark)
    else:
        dark = finite & dark_among(photons, np.where(finite, level, np.nan))
        light = replace(light, dark=float(np.median(level[dark])) if dark.any() else 0.0)
    known = np.concatenate([light.levels, level[finite & ~dark]])
    flash = finite & ~dark & flashes(level, known) if len(known) else none
    dark_run = light.dark_run + len(dark) if dark.all() else 0
    flash_run = light.flash_run + len(flash) if flash.all() else 0
    reference = light.levels
    if dark_run > MAX_DARK_FRAMES or flash_run > MAX_FLASH_FRAMES:
        flash, dark, reference = none, none, level[:0]
    reasons = ((~finite, NOT_FINITE), (flash, FLASH), (dark, DARK))
    rejected = tuple((int(number), reason) for bad, reason in reasons for number in numbers[bad])
    valid = np.asarray(finite & ~flash & ~dark)
    reference = np.concatenate([reference, level[valid]])[-MAX_LEVELS:]
    return valid, replace(light, levels=reference, dark_run=dark_run, flash_run=flash_run), rejected
