"""Which values are black and which are bright. Pure."""

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
    """Automatic, between two percentiles of each picture; or locked at low and high, in the picture's own units.

    gamma and invert are for the colours (colour_maps.lookup_table).
    """

    auto: bool = True
    low: float = 0.0
    high: float = 1.0
    low_percent: float = LOW_PERCENT
    high_percent: float = HIGH_PERCENT
    gamma: float = 1.0
    invert: bool = False

    def levels(self, pixels: Array) -> tuple[float, float]:
        """(low, high) to draw a picture with; low < high always."""
        low, high = auto_levels(pixels, self.low_percent, self.high_percent) if self.auto else (self.low, self.high)
        return low, max(high, float(np.nextafter(np.float32(low), np.float32(np.inf))))


def auto_levels(
    pixels: Array, low_percent: float = LOW_PERCENT, high_percent: float = HIGH_PERCENT
) -> tuple[float, float]:
    """Percentiles of the finite pixels of (H, W).

    A picture so sparse that its high percentile is its floor is drawn up to its maximum: a lone emitter is seen.
    """
    step = max(1, int(np.ceil(np.sqrt(pixels.size / MAX_SAMPLES))))
    sample = pixels[::step, ::step]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample, (low_percent, high_percent)))
    if 0 < low < ZERO_SHARE * high:
        low = 0.0  # 2.6e-08 photons are none
    if high > low:
        return low, high
    top = float(np.max(pixels, where=np.isfinite(pixels), initial=-np.inf))
    return low, top if top > low else low + 1.0
