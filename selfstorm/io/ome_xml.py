"""OME-XML: the planes of an image, their files, sizes and times.

Reference: OME schema 2016-06, Pixels, TiffData and Plane.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from selfstorm.errors import MovieError
from selfstorm.io.pixel_size import MS_PER_UNIT, NM_PER_UNIT, PixelSize

AXES = {"T": "time", "C": "channel", "Z": "z"}
MAX_PLANES = 50_000_000


@dataclass(frozen=True, slots=True)
class OmeImage:
    """One image of an OME data set.

    axes: (name, size), the slowest first. planes: position on these axes -> (file name or "", directory). times_ms:
    likewise. pixel_size: None where not stated. interval_ms: None where not stated.
    """

    name: str
    height: int
    width: int
    axes: tuple[tuple[str, int], ...]
    colour: bool
    planes: dict[tuple[int, ...], tuple[str, int]]
    times_ms: dict[tuple[int, ...], float] = field(default_factory=dict)
    pixel_size: PixelSize | None = None
    interval_ms: float | None = None


def parse(text: str, where: Path) -> ElementTree.Element:
    """Parse OME-XML. Raises MovieError where it is none."""
    try:
        return ElementTree.fromstring(text)  # noqa: S314  (expat bounds entity expansion)
    except ElementTree.ParseError as error:
        raise MovieError(f"has OME-XML that cannot be read ({error})", where=where, hint="copy it again") from None


def master_file(root: ElementTree.Element) -> str | None:
    """Return the companion file that a BinaryOnly file points to."""
    only = next(_children(root, "BinaryOnly"), None)
    return None if only is None else only.attrib.get("MetadataFile")


def images(root: ElementTree.Element, where: Path) -> list[OmeImage]:
    """List the images of a data set.

    Raises MovieError where the XML contradicts itself.
    """
    own = root.attrib.get("UUID")
    try:
        return [
            _image(image, pixels, own) for image in _children(root, "Image") for pixels in _children(image, "Pixels")
        ]
    except (KeyError, ValueError) as error:
        raise MovieError(f"has OME-XML without sense ({error})", where=where, hint="export it again") from None


def _image(image: ElementTree.Element, pixels: ElementTree.Element, own: str | None) -> OmeImage:
    order = pixels.attrib["DimensionOrder"][2:]  # after X and Y, the fastest first
    samples = sum(int(c.attrib.get("SamplesPerPixel", 1)) for c in _children(pixels, "Channel"))
    sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in "TCZ"}
    colour = samples > len(list(_children(pixels, "Channel"))) > 0
    if colour:
        sizes["C"] = max(1, sizes["C"] * len(list(_children(pixels, "Channel"))) // samples)
    if sorted(order) != ["C", "T", "Z"] or min(sizes.values()) < 1 or math.prod(sizes.values()) > MAX_PLANES:
        raise ValueError(f"{order} of {sizes}")
    axes = "TCZ"
    return OmeImage(
        image.attrib.get("Name", image.attrib.get("ID", "")),
        int(pixels.attrib["SizeY"]),
        int(pixels.attrib["SizeX"]),
        tuple((AXES[axis], sizes[axis]) for axis in axes),
        colour,
        dict(_planes(pixels, order, sizes, own)),
        dict(_times(pixels)),
        _pixel_size(pixels),
        _ms(pixels.attrib.get("TimeIncrement"), pixels.attrib.get("TimeIncrementUnit", "s")),
    )


def _planes(
    pixels: ElementTree.Element, order: str, sizes: dict[str, int], own: str | None
) -> Iterator[tuple[tuple[int, ...], tuple[str, int]]]:
    """Yield position and page of every plane that has a TiffData.

    The position is (T, C, Z), the page (file, directory).
    """
    total = math.prod(sizes.values())
    for data in _children(pixels, "TiffData"):
        uuid = next(_children(data, "UUID"), None)
        file = "" if uuid is None or (uuid.text or "").strip() == own else uuid.attrib.get("FileName", "")
        first = {axis: int(data.attrib.get(f"First{axis}", 0)) for axis in "TCZ"}
        directory = int(data.attrib.get("IFD", 0))
        start = first[order[0]] + sizes[order[0]] * (first[order[1]] + sizes[order[1]] * first[order[2]])
        count = int(data.attrib.get("PlaneCount", 1 if "IFD" in data.attrib else total - start))
        for step in range(min(count, total - start)):
            at, place = start + step, {}
            for axis in order:
                at, place[axis] = divmod(at, sizes[axis])
            yield (place["T"], place["C"], place["Z"]), (file, directory + step)


def _times(pixels: ElementTree.Element) -> Iterator[tuple[tuple[int, ...], float]]:
    for plane in _children(pixels, "Plane"):
        ms = _ms(plane.attrib.get("DeltaT"), plane.attrib.get("DeltaTUnit", "s"))
        if ms is not None:
            yield (int(plane.attrib["TheT"]), int(plane.attrib["TheC"]), int(plane.attrib["TheZ"])), ms


def _ms(value: str | None, unit: str) -> float | None:
    try:
        ms = float(value or "") * MS_PER_UNIT[unit]
    except (ValueError, KeyError):
        return None
    return ms if math.isfinite(ms) else None


def _pixel_size(pixels: ElementTree.Element) -> PixelSize | None:
    x, y = (
        _nm(pixels.attrib.get(f"PhysicalSize{axis}"), pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "XY"
    )
    return None if x is None and y is None else PixelSize(x or y or 0.0, y or x or 0.0)


def _nm(value: str | None, unit: str) -> float | None:
    try:
        return float(value or "") * NM_PER_UNIT[unit]
    except (ValueError, KeyError):
        return None


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if child.tag.rpartition("}")[2] == name)
