"""The field's colour maps as lookup tables: (256, 3) uint8, dark to bright."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from selfstorm.frames import Array

LEVELS = 256

# ImageJ's 'fire', the customary one for localisation microscopy: 32 even steps, red green blue.
FIRE = """
    000000 00003d 010060 190082 3100a5 4900c0 6200dc 7a00e3
    9200d2 a200b5 ad0097 b8007a c3005d cf0e40 d92323 e53905
    f04f00 fc6500 ff7500 ff8500 ff9300 ffa100 ffaf00 ffbe00
    ffcd00 ffdb00 ffea00 fff823 ffff62 ffffa0 ffffdf ffffff
"""
RAMPS = {"grey": (1, 1, 1), "green": (0, 1, 0), "magenta": (1, 0, 1), "cyan": (0, 1, 1)}
BUNDLED = ("inferno", "viridis")
NAMES = ("grey", "fire", *BUNDLED, "green", "magenta", "cyan")


def lookup_table(name: str) -> Array:
    """(256, 3) uint8 of the map with this name; KeyError for a name not in NAMES."""
    if name == "fire":
        colours = np.array([tuple(bytes.fromhex(step)) for step in FIRE.split()])
        steps, levels = np.linspace(0, LEVELS - 1, len(colours)), np.arange(LEVELS)
        return np.stack([np.interp(levels, steps, one) for one in colours.T], axis=1).astype(np.uint8)
    if name in BUNDLED:
        table: Array = pg.colormap.get(name).getLookupTable(nPts=LEVELS, alpha=False)
        return table.astype(np.uint8)
    return np.outer(np.arange(LEVELS), RAMPS[name]).astype(np.uint8)
