"""Region in camera pixels, and the statistics of the pictures in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from client.picture.field import PictureField, field_of
from client.picture.pictures import Pair
from selfstorm.frames import Array


@dataclass(frozen=True, slots=True)
class Region:
    """Region of the camera: rows y..y+height, columns x..x+width."""

    y: int
    x: int
    height: int
    width: int


def region_of(
    field: PictureField, shape: tuple[int, int], corner: tuple[float, float], size: tuple[float, float]
) -> Region:
    """Round a rectangle to camera pixels, at least one, within the field.

    Args:
        field: Field of the picture.
        shape: (H, W) of the camera.
        corner, size: (x, y) in the field's unit.
    """
    spans = []
    for axis, (pixels, length) in enumerate(((shape[1], field.width), (shape[0], field.height))):
        first = min(max(round(corner[axis] / length * pixels), 0), pixels - 1)
        last = min(max(round((corner[axis] + size[axis]) / length * pixels), first + 1), pixels)
        spans.append((first, last - first))
    (x, width), (y, height) = spans
    return Region(y, x, height, width)


def region_lines(pair: Pair, region: Region) -> tuple[str, ...]:
    """Describe position, size and statistics of a region, a line each."""
    field, scale = field_of(pair), pair.sr.header.scale
    unit = field.width / (pair.sr.pixels.shape[1] / scale)
    sr = _part(pair.sr.pixels, region, scale)
    size = f"{region.width * unit:.4g} x {region.height * unit:.4g} {field.unit}"
    lines = [
        f"corner x {region.x}, y {region.y}   size {region.width} x {region.height} camera pixels",
        f"{size}, from x {region.x * unit:.4g}, y {region.y * unit:.4g} {field.unit}",
        f"super-resolved: sum {sr.sum(dtype=float):.4g}, mean {sr.mean():.4g}, highest {sr.max():.4g}",
    ]
    if pair.raw is not None:
        raw = _part(pair.raw.pixels, region, 1)
        lines.append(f"raw mean: mean {raw.mean():.4g}, lowest {raw.min():.4g}, highest {raw.max():.4g} ADU")
    return tuple(lines)


def _part(pixels: Array, region: Region, scale: int) -> Array:
    rows = slice(region.y * scale, (region.y + region.height) * scale)
    return pixels[rows, region.x * scale : (region.x + region.width) * scale]
