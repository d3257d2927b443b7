"""Region in camera pixels, and the statistics of the pictures in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from client.picture.field import PictureField, field_of
from client.picture.pictures import PicturePair
from selfstorm.frames import Array


@dataclass(frozen=True, slots=True)
class CameraRegion:
    """Region of the camera: rows y..y+height, columns x..x+width."""

    y: int
    x: int
    height: int
    width: int


def region_of(
    field: PictureField, shape: tuple[int, int], corner: tuple[float, float], size: tuple[float, float]
) -> CameraRegion:
    """Round a rectangle to camera pixels, at least one, within the field.

    Args:
        field: Field of the picture.
        shape: (H, W) of the camera.
        corner: (x, y) of the rectangle's corner, in the field's unit.
        size: (width, height) of the rectangle, in the field's unit.
    """
    spans = []
    for axis, (pixels, length) in enumerate(((shape[1], field.width), (shape[0], field.height))):
        first = min(max(round(corner[axis] / length * pixels), 0), pixels - 1)
        last = min(max(round((corner[axis] + size[axis]) / length * pixels), first + 1), pixels)
        spans.append((first, last - first))
    (x, width), (y, height) = spans
    return CameraRegion(y, x, height, width)


@dataclass(frozen=True, slots=True)
class RegionStatistics:
    """Statistics of one picture in a region, in its unit."""

    picture: str
    unit: str
    total: float
    mean: float
    low: float
    high: float


def region_statistics(pair: PicturePair, region: CameraRegion) -> tuple[RegionStatistics, ...]:
    """Measure a region in the super-resolved picture and in the raw mean.

    There is not always a raw mean.
    """
    measured = [_statistics("super-resolved", pair.sr.unit, _part(pair.sr.pixels, region, pair.sr.header.scale))]
    if pair.raw is not None:
        measured.append(_statistics("raw mean", pair.raw.unit, _part(pair.raw.pixels, region, 1)))
    return tuple(measured)


def _statistics(picture: str, unit: str, part: Array) -> RegionStatistics:
    return RegionStatistics(
        picture, unit, float(part.sum(dtype=float)), float(part.mean(dtype=float)), float(part.min()), float(part.max())
    )


def region_lines(pair: PicturePair, region: CameraRegion) -> tuple[str, ...]:
    """Describe position, size and statistics of a region, a line each."""
    field, scale = field_of(pair), pair.sr.header.scale
    unit = field.width / (pair.sr.pixels.shape[1] / scale)
    size = f"{region.width * unit:.4g} x {region.height * unit:.4g} {field.unit}"
    place = (
        f"corner x {region.x}, y {region.y}   size {region.width} x {region.height} camera pixels",
        f"{size}, from x {region.x * unit:.4g}, y {region.y * unit:.4g} {field.unit}",
    )
    return (*place, *(_line(one) for one in region_statistics(pair, region)))


def _line(one: RegionStatistics) -> str:
    numbers = f"sum {one.total:.4g}, mean {one.mean:.4g}, min {one.low:.4g}, max {one.high:.4g}"
    return f"{one.picture}: {numbers} {one.unit}"


def _part(pixels: Array, region: CameraRegion, scale: int) -> Array:
    rows = slice(region.y * scale, (region.y + region.height) * scale)
    return pixels[rows, region.x * scale : (region.x + region.width) * scale]
