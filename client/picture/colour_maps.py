"""Colour maps of microscopy as lookup tables, with gamma and inversion."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from selfstorm.frames import Array

LEVELS = 1024  # fine enough that a strong gamma shows no steps
OPAQUE = np.uint32(0xFF000000)

# ImageJ's 'fire', customary in localization microscopy: 32 even steps, red green blue.
FIRE = """
    000000 00003d 010060 190082 3100a5 4900c0 6200dc 7a00e3
    9200d2 a200b5 ad0097 b8007a c3005d cf0e40 d92323 e53905
    f04f00 fc6500 ff7500 ff8500 ff9300 ffa100 ffaf00 ffbe00
    ffcd00 ffdb00 ffea00 fff823 ffff62 ffffa0 ffffdf ffffff
"""
RAMPS = {"grey": (1, 1, 1), "red": (1, 0, 0), "green": (0, 1, 0), "magenta": (1, 0, 1), "cyan": (0, 1, 1)}
BUNDLED = ("inferno", "viridis")
NAMES = ("grey", "fire", *BUNDLED, "red", "green", "magenta", "cyan")


def colours(name: str) -> Array:
    """Return a colour map as (256, 3) float64 from 0 to 255.

    Raises:
        KeyError: The name is not in NAMES.
    """
    steps = np.arange(256.0)
    if name == "fire":
        given = np.array([tuple(bytes.fromhex(step)) for step in FIRE.split()])
        positions = np.linspace(0, 255, len(given))
        return np.stack([np.interp(steps, positions, one) for one in given.T], axis=1)
    if name in BUNDLED:
        table: Array = pg.colormap.get(name).getLookupTable(nPts=256, alpha=False)
        return table.astype(np.float64)
    return np.outer(steps, RAMPS[name])


def lookup_table(name: str, gamma: float = 1.0, *, invert: bool = False) -> Array:
    """Build the lookup table of a colour map.

    Args:
        name: One of NAMES.
        gamma: Exponent; below 1 it brightens dim structures.
        invert: Whether bright values are drawn dark.

    Returns:
        (LEVELS,) uint32 0xAARRGGBB, the format of Qt's 32-bit pixels.
    """
    share = np.linspace(0, 1, LEVELS) ** gamma
    share = 1 - share if invert else share
    rgb = np.stack([np.interp(share * 255, np.arange(256), one) for one in colours(name).T]).round().astype(np.uint32)
    table: Array = OPAQUE | rgb[0] << np.uint32(16) | rgb[1] << np.uint32(8) | rgb[2]
    return table
