"""Turn the visible pixels into colours, at most one per screen pixel.

Pure; only numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from selfstorm.frames import Array

ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Crop:
    """Visible part of a picture: rows top..bottom, columns left..right.

    It is divided into blocks of side x side pixels.
    """

    top: int
    bottom: int
    left: int
    right: int
    side: int


def crop_for(
    shape: tuple[int, int], y: tuple[float, float], x: tuple[float, float], screen_px: float, min_block_px: float = 0.0
) -> Crop | None:
    """Choose the visible part of a picture and the block size to draw it with.

    Blocks lie at multiples of their side, so that panning does not make the picture flicker.

    Args:
        shape: (H, W) of the picture.
        y: First and last visible row, in pixels of the picture.
        x: First and last visible column, in pixels of the picture.
        screen_px: Screen pixels per pixel of the picture.
        min_block_px: Smallest side of a block in screen pixels; 0 for the finest, a block per screen pixel.

    Returns:
        The part to draw, None where nothing is visible.
    """
    side = (
        (math.ceil(min_block_px / screen_px - ROUNDING) if min_block_px else int(1 / screen_px)) if screen_px > 0 else 1
    )
    side = max(1, side)
    top, bottom = _span(shape[0], *y, side)
    left, right = _span(shape[1], *x, side)
    return Crop(top, bottom, left, right, side) if bottom > top and right > left else None


def _span(length: int, first: float, last: float, side: int) -> tuple[int, int]:
    begin = max(0, math.floor(first / side) * side)
    return begin, min(length, math.ceil(last / side) * side)


def reduced(pixels: Array, crop: Crop) -> Array:
    """Average every block of the crop into (h, w) float32.

    Blocks cut by the edge use their remaining pixels.
    """
    part, side = pixels[crop.top : crop.bottom, crop.left : crop.right], crop.side
    if side == 1:
        return part
    # Rows first, and each axis by adding slices: several times faster than one reshape and mean.
    rows = np.empty((-(-part.shape[0] // side), part.shape[1]), np.float32)
    _add_rows(rows, part, side)
    blocks = np.empty((rows.shape[0], -(-rows.shape[1] // side)), np.float32)
    _add_rows(blocks.T, rows.T, side)
    blocks /= np.outer(_block_sides(part.shape[0], side), _block_sides(part.shape[1], side))
    return blocks


def _add_rows(sums: Array, part: Array, side: int) -> None:
    """Add up every `side` rows of `part` (h, w), with side >= 2.

    The sums are written into `sums` (ceil(h / side), w).
    """
    whole = len(part) // side
    full, last = sums[:whole], whole * side
    np.add(part[:last:side], part[1:last:side], out=full, dtype=np.float32, casting="unsafe")
    for offset in range(2, side):
        np.add(full, part[offset:last:side], out=full, casting="unsafe")
    if whole < len(sums):
        np.sum(part[last:], axis=0, dtype=np.float32, out=sums[whole])


def _block_sides(length: int, side: int) -> Array:
    """Return the number of pixels of each block along an axis.

    Returns:
        (ceil(length / side),) float32.
    """
    firsts = np.arange(0, length, side)
    sides: Array = np.minimum(side, length - firsts).astype(np.float32)
    return sides


def coloured(values: Array, levels: tuple[float, float], table: Array) -> Array:
    """Map values (h, w) between two levels to colours of a table (N,).

    Non-finite values are drawn darkest.
    """
    low, high = levels
    places = (values - np.float32(low)) * np.float32((len(table) - 1) / (high - low))
    np.fmax(places, 0, out=places)  # fmax and fmin ignore NaN
    np.fmin(places, len(table) - 1, out=places)
    colours: Array = table.take(
        places.astype(np.intp), mode="clip"
    )  # indices are valid: "clip" only skips a second check
    return colours
