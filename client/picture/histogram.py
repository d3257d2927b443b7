"""Histogram of a picture, and the share of clipped pixels. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from client.picture.contrast import MAX_SAMPLES
from selfstorm.frames import Array

BINS = 96


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of the values of a picture.

    Attributes:
        edges: (BINS + 1,) bin edges.
        counts: (BINS,) pixels in each bin.
        below: Share of pixels drawn darkest because they are below the lower level.
        above: Share of pixels saturated because they are above the upper level.
    """

    edges: Array
    counts: Array
    below: float
    above: float


def histogram_of(pixels: Array, levels: tuple[float, float]) -> Histogram | None:
    """Count the finite pixels of (H, W) between their extremes.

    None where there are no finite pixels.

    Large pictures are sampled; the shares are then estimates.
    """
    step = max(1, int(np.ceil(np.sqrt(pixels.size / MAX_SAMPLES))))
    sample = pixels[::step, ::step]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return None
    low, high = min(float(sample.min()), levels[0]), max(float(sample.max()), levels[1])
    counts, edges = np.histogram(sample, bins=BINS, range=(low, high if high > low else low + 1.0))
    below, above = (float(np.mean(clipped)) for clipped in (sample < levels[0], sample > levels[1]))
    return Histogram(edges, counts, below, above)


def clipping_text(histogram: Histogram) -> str:
    """Describe the clipping: 'clipped: 0.5% dark, 0.3% saturated'."""
    return f"clipped: {histogram.below:.1%} dark, {histogram.above:.1%} saturated"
