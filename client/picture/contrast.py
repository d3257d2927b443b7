"""Contrast: the values drawn darkest and brightest. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selfstorm.frames import Array

LOW_PERCENT = 0.5
HIGH_PERCENT = 99.7
MAX_SAMPLES = 100_000
ZERO_SHARE = 1e-4


@dataclass(frozen=True, slots=True)
class Contrast:
    """Contrast settings of a picture.

    Attributes:
        auto: Whether the levels are percentiles of each picture; else they are locked.
        low, high: Locked levels, in the picture's unit.
        low_percent, high_percent: Percentiles of the automatic levels.
        gamma, invert: Arguments of colour_maps.lookup_table.
    """

    auto: bool = True
    low: float = 0.0
    high: float = 1.0
    low_percent: float = LOW_PERCENT
    high_percent: float = HIGH_PERCENT
    gamma: float = 1.0
    invert: bool = False

    def levels(self, pixels: Array) -> tuple[float, float]:
        """Return (low, high) to draw a picture with; low < high always."""
        low, high = auto_levels(pixels, self.low_percent, self.high_percent) if self.auto else (self.low, self.high)
        return low, max(high, float(np.nextafter(np.float32(low), np.float32(np.inf))))


def auto_levels(
    pixels: Array, low_percent: float = LOW_PERCENT, high_percent: float = HIGH_PERCENT
) -> tuple[float, float]:
    """Choose levels as percentiles of the finite pixels of (H, W).

    A picture so sparse that both percentiles are equal is drawn up to its maximum, so that a single emitter is visible.
    """
    step = max(1, int(np.ceil(np.sqrt(pixels.size / MAX_SAMPLES))))
    sample = pixels[::step, ::step]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample, (low_percent, high_percent)))
    if 0 < low < ZERO_SHARE * high:
        low = 0.0  # rounding noise such as 2.6e-08 photons
    if high > low:
        return low, high
    top = float(np.max(pixels, where=np.isfinite(pixels), initial=-np.inf))
    return low, top if top > low else low + 1.0
