"""The pixel size that a TIFF states: by OME-XML, Micro-Manager, ImageJ, our own description or its resolution."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import tifffile

from selfstorm.io import micromanager_tags

NM_PER_UNIT = {"nm": 1.0, "µm": 1e3, "um": 1e3, "micron": 1e3, "\\u00B5m": 1e3, "mm": 1e6, "cm": 1e7}
# A size outside this is a printer's, not a microscope's.
PLAUSIBLE_NM = (1.0, 5_000.0)


def stated_pixel_nm(file: tifffile.TiffFile) -> float | None:
    """Pixel size by the file's metadata, None where it says nothing believable."""
    for read in (
        _ome_pixel_nm,
        _micromanager_pixel_nm,
        _imagej_pixel_nm,
        _description_pixel_nm,
        _tag_pixel_nm,
    ):
        try:
            size = read(file)
        except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError, ElementTree.ParseError):
            continue
        if plausible := plausible_nm(size):
            return plausible
    return None


def plausible_nm(size: float | None) -> float | None:
    """The size where it can be a camera pixel's in the sample, else None."""
    return round(size, 4) if size is not None and PLAUSIBLE_NM[0] <= size <= PLAUSIBLE_NM[1] else None


def _ome_pixel_nm(file: tifffile.TiffFile) -> float | None:
    if not file.is_ome or not file.ome_metadata:
        return None
    root = ElementTree.fromstring(file.ome_metadata)  # noqa: S314  (expat bounds entity expansion)
    pixels = next(element for element in root.iter() if element.tag.endswith("}Pixels"))
    return float(pixels.attrib["PhysicalSizeX"]) * NM_PER_UNIT[pixels.attrib.get("PhysicalSizeXUnit", "µm")]


def _micromanager_pixel_nm(file: tifffile.TiffFile) -> float | None:
    tag = file.pages.first.tags.get("MicroManagerMetadata")
    return None if tag is None else micromanager_tags.pixel_nm(tag.value)


def _imagej_pixel_nm(file: tifffile.TiffFile) -> float | None:
    if not file.is_imagej or not file.imagej_metadata:
        return None
    per_unit = file.pages.first.tags["XResolution"].value
    return float(NM_PER_UNIT[file.imagej_metadata["unit"]] * per_unit[1] / per_unit[0])


def _description_pixel_nm(file: tifffile.TiffFile) -> float | None:
    return float(json.loads(file.pages.first.description)["pixel_nm"])


def _tag_pixel_nm(file: tifffile.TiffFile) -> float | None:
    tags = file.pages.first.tags
    if tags["ResolutionUnit"].value != tifffile.RESUNIT.CENTIMETER:
        return None
    per_cm = tags["XResolution"].value
    return float(NM_PER_UNIT["cm"] * per_cm[1] / per_cm[0])
