"""Error map: range and colours of re-imaged picture minus raw mean. Pure."""

from __future__ import annotations

import numpy as np

from client.picture.field import round_length
from selfstorm.frames import Array

LEVELS = 256
RANGE_PERCENTILE = 99.0
TRANSPARENT_SHARE = 0.12  # errors below this share of the range are not drawn
MAX_ALPHA = 225
TOO_DIM, TOO_BRIGHT = (0x4A, 0x9B, 0xFF), (0xFF, 0x9A, 0x1F)  # blue and orange: safe for colour-blind users


def error_range(pixels: Array) -> float:
    """Choose the error, in photons, at which the colours saturate.

    It is a round number that few pixels exceed; 1.0 where all errors are 0.
    """
    sizes = np.abs(pixels[np.isfinite(pixels)])
    high = float(np.percentile(sizes, RANGE_PERCENTILE)) if sizes.size else 0.0
    # Rounded up, so that the range does not change with every window.
    return 1.0 if high <= 0 else next(step for step in _round_from(high) if step >= high * (1 - 1e-6))


def _round_from(value: float) -> tuple[float, ...]:
    below = round_length(value)
    power = 10.0 ** np.floor(np.log10(value))
    return below, *(float(step * power) for step in (2, 5, 10))


def error_table() -> Array:
    """Build the lookup table, (LEVELS,) uint32 0xAARRGGBB.

    The colours run from too dim, over transparent, to too bright.
    """
    places = np.linspace(-1, 1, LEVELS)
    strength = np.clip((np.abs(places) - TRANSPARENT_SHARE) / (1 - TRANSPARENT_SHARE), 0, 1)
    alpha = (MAX_ALPHA * strength).round().astype(np.uint32)
    sides = np.where(places[:, None] < 0, TOO_DIM, TOO_BRIGHT).astype(np.uint32)
    table: Array = alpha << np.uint32(24) | sides[:, 0] << np.uint32(16) | sides[:, 1] << np.uint32(8) | sides[:, 2]
    return table
