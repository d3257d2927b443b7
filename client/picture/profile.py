"""Line profiles and the width of their highest peak. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from client.picture.field import NM_PER_UM, PictureField, field_of
from client.picture.pictures import Pair
from selfstorm.frames import Array

SAMPLES_PER_PIXEL = 2
MAX_SAMPLES = 4096

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Values along a line.

    Attributes:
        distance: (N,) distance from the start, in the field's unit.
        values: (N,) values.
        fwhm: Full width at half maximum of the highest peak, None without one.
    """

    distance: Array
    values: Array
    fwhm: float | None


def profiles(pair: Pair, start: Point, end: Point) -> tuple[Profile, Profile | None]:
    """Measure the super-resolved picture and the raw mean between two points (x, y), in the field's unit."""
    field = field_of(pair)
    raw = None if pair.raw is None else along(pair.raw.pixels, field, start, end)
    return along(pair.sr.pixels, field, start, end), raw


def along(pixels: Array, field: PictureField, start: Point, end: Point) -> Profile:
    """Sample (H, W) pixels along a line, bilinear between pixel centres; the edge value beyond them."""
    height, width = pixels.shape
    length = math.dist(start, end)
    wanted = SAMPLES_PER_PIXEL * length * max(width / field.width, height / field.height)
    share = np.linspace(0, 1, min(max(2, math.ceil(wanted) + 1), MAX_SAMPLES))
    x = (start[0] + share * (end[0] - start[0])) / field.width * width - 0.5
    y = (start[1] + share * (end[1] - start[1])) / field.height * height - 0.5
    values = _bilinear(pixels, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1))
    return Profile(share * length, values, fwhm(share * length, values))


def _bilinear(pixels: Array, y: Array, x: Array) -> Array:
    top, left = y.astype(np.intp), x.astype(np.intp)
    bottom, right = np.minimum(top + 1, pixels.shape[0] - 1), np.minimum(left + 1, pixels.shape[1] - 1)
    down, across = y - top, x - left
    above = pixels[top, left] * (1 - across) + pixels[top, right] * across
    below = pixels[bottom, left] * (1 - across) + pixels[bottom, right] * across
    values: Array = above * (1 - down) + below * down
    return values


def fwhm(distance: Array, values: Array) -> float | None:
    """Return the full width at half maximum of the highest peak, above the lowest value on the line.

    None where the line is flat, or ends before the peak has fallen to half its height.
    """
    if not np.isfinite(values).all() or values.max() <= values.min():
        return None
    peak, half = int(values.argmax()), (values.max() + values.min()) / 2
    left = _crossing(distance[peak::-1], values[peak::-1], half)
    right = _crossing(distance[peak:], values[peak:], half)
    return None if left is None or right is None else right - left


def _crossing(distance: Array, values: Array, half: float) -> float | None:
    """Return where values, falling from the first, reach `half`, interpolated linearly."""
    below = np.flatnonzero(values <= half)
    if not below.size or below[0] == 0:
        return None
    after = int(below[0])
    high, low = float(values[after - 1]), float(values[after])
    share = (high - half) / (high - low)
    return float(distance[after - 1] + share * (distance[after] - distance[after - 1]))


def width_text(name: str, profile: Profile, unit: str) -> str:
    """Format a width: 'super-resolved: FWHM 43 nm'."""
    if profile.fwhm is None:
        return f"{name}: no complete peak on the line"
    width = f"{profile.fwhm * NM_PER_UM:.0f} nm" if unit == "µm" else f"{profile.fwhm:.2f} px"
    return f"{name}: FWHM {width}"
