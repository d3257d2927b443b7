"""Trust map: colours of how well two halves of the frames agree. Pure."""

from __future__ import annotations

import numpy as np

from selfstorm.frames import Array

LEVELS = 256
NOT_COMPARED = -0.25  # stands for NaN
RANGE = (NOT_COMPARED, 1.0)
MAX_ALPHA, GREY_ALPHA = 225, 140
VIOLET, GREY = 0xB04BFF, 0x606060  # violet and its absence: safe for colour-blind users


def trust_table() -> Array:
    """Build the lookup table, (LEVELS,) uint32 0xAARRGGBB.

    Grey where nothing was compared; from violet, where the halves differ, to transparent, where they agree.
    """
    trust = np.linspace(*RANGE, LEVELS)
    alpha = (MAX_ALPHA * np.clip(1 - trust, 0, 1)).round().astype(np.uint32)
    table: Array = alpha << np.uint32(24) | np.uint32(VIOLET)
    table[trust < NOT_COMPARED / 2] = np.uint32(GREY_ALPHA << 24 | GREY)
    return table


def trust_pixels(pixels: Array) -> Array:
    """Return the map with a number for what was not compared."""
    return np.where(np.isfinite(pixels), np.clip(pixels, 0, 1), np.float32(NOT_COMPARED))
