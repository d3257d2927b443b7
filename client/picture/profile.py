"""Line profiles, and the width of one structure in both pictures. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from client.picture.field import NM_PER_UM, PictureField, field_of
from client.picture.pictures import PicturePair
from selfstorm.frames import Array

SAMPLES_PER_PIXEL = 2
MAX_SAMPLES = 4096
MAX_LINES = 256
SEARCH_RAW_PIXELS = 1.5  # half of the range in which the raw peak of a structure is searched
RESOLVED_PIXELS = 2.0  # a narrower peak may be a single pixel

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Values along a line.

    Attributes:
        distance: (N,) distance from the start, in the field's unit.
        values: (N,) values, averaged across the line.
        pixel: Size of a pixel of the picture, in the field's unit.
        peak: Distance of the measured peak, None without one.
        fwhm: Full width at half maximum of that peak, None where it is not complete.
    """

    distance: Array
    values: Array
    pixel: float
    peak: float | None
    fwhm: float | None

    @property
    def pixel_limited(self) -> bool:
        """True where the peak is so narrow that its width may be that of a pixel."""
        return self.fwhm is not None and self.fwhm < RESOLVED_PIXELS * self.pixel


def profiles(pair: PicturePair, start: Point, end: Point, width: float = 0.0) -> tuple[Profile, Profile | None]:
    """Measure one structure in both pictures along a line.

    It is the highest peak of the super-resolved picture, and the raw peak at the same place.

    Args:
        pair: Pictures of a window.
        start: One end of the line (x, y), in the field's unit.
        end: The other end of the line (x, y).
        width: Width over which values are averaged across the line, in the field's unit.

    Returns:
        The super-resolved profile, and the raw one where there is a raw mean.
    """
    field = field_of(pair)
    count = _sample_count(pair.sr.pixels, field, start, end)
    sr = along(pair.sr.pixels, field, start, end, width=width, count=count)
    if pair.raw is None:
        return sr, None
    return sr, along(pair.raw.pixels, field, start, end, width=width, count=count, near=sr.peak)


def along(
    pixels: Array,
    field: PictureField,
    start: Point,
    end: Point,
    *,
    width: float = 0.0,
    count: int = 0,
    near: float | None = None,
) -> Profile:
    """Sample (H, W) pixels along a line.

    Values are bilinear between pixel centres; beyond them, the value at the edge is used.

    Args:
        pixels: (H, W) values.
        field: Field they cover.
        start: One end of the line (x, y), in the field's unit.
        end: The other end of the line (x, y).
        width: Width over which values are averaged across the line.
        count: Number of samples; by default SAMPLES_PER_PIXEL.
        near: Distance near which the peak is measured; by default the highest peak of the line.
    """
    height_px, width_px = pixels.shape
    length, pixel = math.dist(start, end), field.width / width_px
    share = np.linspace(0, 1, count or _sample_count(pixels, field, start, end))
    normal = (-(end[1] - start[1]) / length, (end[0] - start[0]) / length) if length else (0.0, 0.0)
    lines = min(max(1, round(SAMPLES_PER_PIXEL * width / pixel)), MAX_LINES)
    offsets = (np.arange(lines) - (lines - 1) / 2) * (width / lines)
    x = start[0] + share * (end[0] - start[0]) + offsets[:, None] * normal[0]
    y = start[1] + share * (end[1] - start[1]) + offsets[:, None] * normal[1]
    rows = np.clip(y / field.height * height_px - 0.5, 0, height_px - 1)
    columns = np.clip(x / field.width * width_px - 0.5, 0, width_px - 1)
    distance, values = share * length, _bilinear(pixels, rows, columns).mean(axis=0)
    peak = _peak(distance, values, near, SEARCH_RAW_PIXELS * pixel)
    return Profile(
        distance,
        values,
        pixel,
        None if peak is None else float(distance[peak]),
        None if peak is None else fwhm(distance, values, peak),
    )


def _sample_count(pixels: Array, field: PictureField, start: Point, end: Point) -> int:
    height, width = pixels.shape
    wanted = math.ceil(SAMPLES_PER_PIXEL * math.dist(start, end) * max(width / field.width, height / field.height))
    count: int = min(max(2, wanted + 1), MAX_SAMPLES)
    return count


def _bilinear(pixels: Array, y: Array, x: Array) -> Array:
    top, left = y.astype(np.intp), x.astype(np.intp)
    bottom, right = np.minimum(top + 1, pixels.shape[0] - 1), np.minimum(left + 1, pixels.shape[1] - 1)
    down, across = y - top, x - left
    above = pixels[top, left] * (1 - across) + pixels[top, right] * across
    below = pixels[bottom, left] * (1 - across) + pixels[bottom, right] * across
    values: Array = above * (1 - down) + below * down
    return values


def _peak(distance: Array, values: Array, near: float | None, search: float) -> int | None:
    """Return the sample of the highest peak, or of the one near a distance.

    None where there is no peak.

    A maximum at the border of the searched range is the flank of another structure, not a peak.
    """
    if not np.isfinite(values).all() or values.max() <= values.min():
        return None
    if near is None:
        return int(values.argmax())
    inside = np.flatnonzero(np.abs(distance - near) <= search)
    if not inside.size:
        return None
    first, last = int(inside[0]), int(inside[-1])
    peak = first + int(values[first : last + 1].argmax())
    beside = values[max(peak - 1, 0) : peak + 2]
    on_flank = peak in (first, last) and bool(beside.max() > values[peak])
    return None if on_flank else peak


def fwhm(distance: Array, values: Array, peak: int | None = None) -> float | None:
    """Return the full width at half maximum of a peak.

    The height of the peak is measured from the lowest value on the line.

    Args:
        distance: (N,) distances.
        values: (N,) values.
        peak: Sample of the peak; by default the highest.

    Returns:
        The width, None where the line is flat or ends before the peak has fallen to half its height.
    """
    if not np.isfinite(values).all() or values.max() <= values.min():
        return None
    peak = int(values.argmax()) if peak is None else peak
    half = (values[peak] + values.min()) / 2
    left = _crossing(distance[peak::-1], values[peak::-1], half)
    right = _crossing(distance[peak:], values[peak:], half)
    return None if left is None or right is None else right - left


def _crossing(distance: Array, values: Array, half: float) -> float | None:
    """Return the place where values, falling from the first, reach `half`.

    The place is interpolated linearly.
    """
    below = np.flatnonzero(values <= half)
    if not below.size or below[0] == 0:
        return None
    after = int(below[0])
    high, low = float(values[after - 1]), float(values[after])
    share = (high - half) / (high - low)
    return float(distance[after - 1] + share * (distance[after] - distance[after - 1]))


def width_text(name: str, profile: Profile, unit: str) -> str:
    """Format a width: 'super-resolved: FWHM 43 nm'."""
    if profile.peak is None:
        return f"{name}: this structure has no peak of its own"
    if profile.fwhm is None:
        return f"{name}: no complete peak on the line"
    limited = f" (limited by the pixel, {_length(profile.pixel, unit)})" if profile.pixel_limited else ""
    return f"{name}: FWHM {_length(profile.fwhm, unit)}{limited}"


def _length(length: float, unit: str) -> str:
    return f"{length * NM_PER_UM:.0f} nm" if unit == "µm" else f"{length:.2f} px"
