"""Colour-coded time: several windows in one picture. Pure.

As in Fiji's Temporal-Color Code, each colour channel is the maximum over all windows: moving structures show the
colours of their times, static ones are white.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import pyqtgraph as pg

from client.picture.colour_maps import OPAQUE
from client.picture.pictures import PicturePair
from client.picture.rasterise import coloured
from client.timeline.history import History
from client.trust.freshness import seconds
from selfstorm.frames import Array

LEVELS = 256
STEPS = np.arange(LEVELS, dtype=np.uint8)
RAINBOW = "CET-R2"  # blue, green, yellow, red in perceptually even steps
MAX_WINDOWS = 100
DEFAULT_WINDOWS = 10

Levels = tuple[float, float]


def last_windows(history: History, number: int, shown: PicturePair, count: int) -> tuple[PicturePair, ...]:
    """Collect the windows of one run and field to colour, oldest first.

    At most `count` windows; the last is `shown`, number `number` in the history.
    """
    chosen = [shown]
    while (
        len(chosen) < count and (before := history.get(number - len(chosen))) is not None and _comparable(before, shown)
    ):
        chosen.append(before)
    return tuple(reversed(chosen))


def _comparable(one: PicturePair, other: PicturePair) -> bool:
    a, b = one.sr.header, other.sr.header
    return (a.run, a.shape, a.pixel_nm, a.region) == (b.run, b.shape, b.pixel_nm, b.region)


def time_colours(count: int) -> Array:
    """Return the colours from the oldest to the newest window.

    Returns:
        (count,) uint32 0xAARRGGBB.
    """
    rgb = _rainbow()[np.linspace(0, len(_rainbow()) - 1, count).round().astype(int)].astype(np.uint32)
    colours: Array = OPAQUE | rgb[:, 0] << np.uint32(16) | rgb[:, 1] << np.uint32(8) | rgb[:, 2]
    return colours


@cache
def _rainbow() -> Array:
    table: Array = pg.colormap.get(RAINBOW).getLookupTable(nPts=256, alpha=False)
    return table


def time_tables(count: int, gamma: float) -> Array:
    """Return lookup tables from black to the colour of each window.

    Returns:
        (count, LEVELS) uint32.
    """
    share = np.linspace(0, 1, LEVELS) ** gamma
    colours, tables = time_colours(count), np.full((count, LEVELS), OPAQUE)
    for shift in (0, 8, 16):
        channel = (colours >> np.uint32(shift) & np.uint32(255)).astype(float)
        tables |= np.outer(channel, share).round().astype(np.uint32) << np.uint32(shift)
    return tables


def brightness(values: Array, levels: Levels) -> Array:
    """Scale values between two levels to (h, w) uint8.

    Non-finite values are dark.
    """
    return coloured(values, levels, STEPS)


def blended(windows: Iterable[Array], tables: Array) -> Array:
    """Combine windows by the maximum of each colour channel.

    Args:
        windows: Brightness of each window, (h, w) uint8.
        tables: Lookup table of each window, (N, LEVELS).

    Returns:
        (h, w) uint32 colours.
    """
    blend: Array | None = None
    for bright, table in zip(windows, tables, strict=True):
        colours = table.take(bright, mode="clip")
        if blend is None:
            blend = colours
        else:
            channels = blend.view(np.uint8)
            np.maximum(channels, colours.view(np.uint8), out=channels)
    if blend is None:
        raise ValueError("no windows to blend")
    return blend


def span_text(pairs: Sequence[PicturePair]) -> str:
    """Format the time from the last window back to the first."""
    first, last = (pair.sr.header for pair in (pairs[0], pairs[-1]))
    span_s = (last.published_unix_ns - first.published_unix_ns) / 1e9
    return f"−{seconds(span_s)}" if span_s > 0 else f"−{last.window - first.window} windows"
