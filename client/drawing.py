"""From pixels to colours, no more of them than are seen. Pure; numpy alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from selfstorm.frames import Array


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of a picture that is drawn: rows top..bottom, columns left..right, by blocks of side x side pixels."""

    top: int
    bottom: int
    left: int
    right: int
    side: int


def crop_for(shape: tuple[int, int], y: tuple[float, float], x: tuple[float, float], screen_px: float) -> Crop | None:
    """What must be drawn of a picture of that shape where y and x, in its pixels, are in sight.

    screen_px: how many screen pixels one of its pixels takes. Blocks lie at multiples of their side, so that panning
    does not make the picture flicker. None where nothing of it is in sight.
    """
    side = max(1, int(1 / screen_px)) if screen_px > 0 else 1
    top, bottom = _span(shape[0], *y, side)
    left, right = _span(shape[1], *x, side)
    return Crop(top, bottom, left, right, side) if bottom > top and right > left else None


def _span(length: int, first: float, last: float, side: int) -> tuple[int, int]:
    begin = max(0, math.floor(first / side) * side)
    return begin, min(length, math.ceil(last / side) * side)


def reduced(pixels: Array, crop: Crop) -> Array:
    """(h, w) float32: the mean of every block of the crop; those cut by the picture's edge are of what is there."""
    part, side = pixels[crop.top : crop.bottom, crop.left : crop.right], crop.side
    if side == 1:
        return part
    # Rows first, whole and contiguous: several times as fast as one reshape and mean.
    return _block_means(_block_means(part, side).T, side).T


def _block_means(part: Array, side: int) -> Array:
    """(ceil(h / side), w): means of `side` rows each."""
    whole = len(part) // side * side
    means = part[:whole:side].astype(np.float32)
    for offset in range(1, side):
        means += part[offset:whole:side]
    means /= np.float32(side)
    if whole == len(part):
        return means
    return np.concatenate([means, part[whole:].mean(axis=0, keepdims=True, dtype=np.float32)])


def coloured(values: Array, levels: tuple[float, float], table: Array) -> Array:
    """(h, w) uint32 colours of a lookup table (N,), low..high over all of it; what is not finite is drawn darkest."""
    low, high = levels
    places = (values - np.float32(low)) * np.float32((len(table) - 1) / (high - low))
    np.fmax(places, 0, out=places)  # fmax and fmin take the number where the other is none
    np.fmin(places, len(table) - 1, out=places)
    return np.ascontiguousarray(table.take(places.astype(np.intp)))
