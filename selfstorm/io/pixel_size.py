"""Pixel sizes and frame intervals, in whatever unit a file states them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import tifffile

from selfstorm.io import micromanager_tags

MICRO = ("µm", "μm", "um", "\\u00B5m", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres")
NM_PER_UNIT: dict[str, float] = {
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1.0),
    **dict.fromkeys(MICRO, 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 1e7),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e9),
    **dict.fromkeys(("pm", "picometer"), 1e-3),
    **dict.fromkeys(("Å", "Å", "A", "angstrom", "angstroms"), 0.1),
    **dict.fromkeys(("in", "inch", "inches"), 2.54e7),
}
MS_PER_UNIT: dict[str, float] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1e3),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("µs", "μs", "us", "microsecond", "microseconds"), 1e-3),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-6),
    **dict.fromkeys(("min", "minute", "minutes"), 60e3),
    **dict.fromkeys(("h", "hour", "hours"), 3600e3),
}
# A size outside this is a printer's, not a microscope's.
PLAUSIBLE_NM = (1.0, 5_000.0)
MAX_ANISOTROPY = 0.01  # relative difference of x and y that rounding explains
# Standard deviation of a light microscope's in-focus PSF: NA 1.7 at 400 nm to NA 0.25 at 900 nm, 0.21 wavelength / NA.
PLAUSIBLE_SIGMA_NM = (45.0, 760.0)


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Sides of a pixel in the sample, nm."""

    x_nm: float
    y_nm: float

    @property
    def plausible(self) -> bool:
        """Tell a microscope's pixel from a printer's."""
        return all(math.isfinite(nm) and PLAUSIBLE_NM[0] <= nm <= PLAUSIBLE_NM[1] for nm in (self.x_nm, self.y_nm))

    @property
    def square_nm(self) -> float | None:
        """Return the side of a square pixel; None where x and y differ."""
        if abs(self.x_nm - self.y_nm) > MAX_ANISOTROPY * max(self.x_nm, self.y_nm):
            return None
        return round(self.x_nm, 4)

    def __str__(self) -> str:
        return f"{self.x_nm:g} nm along x and {self.y_nm:g} nm along y"


def nm_of(value: Any, unit: object) -> float | None:
    """Convert a length to nm, None where the unit is unknown."""
    name = str(unit).strip()
    factor = NM_PER_UNIT.get(name) or NM_PER_UNIT.get(name.lower())
    return None if factor is None else float(value) * factor


def square_pixel(size: PixelSize | None) -> tuple[float | None, tuple[str, ...]]:
    """Return a plausible pixel size in nm, and notes on why there is none."""
    if size is None or not size.plausible:
        return None, ()
    if size.square_nm is None:
        return None, (f"the file states pixels of {size}: give the size with --pixel-nm, or resample to square pixels",)
    return size.square_nm, ()


def plausible_nm(size: float | None) -> float | None:
    """Return a size that can be a camera pixel's in the sample, else None."""
    return None if size is None else square_pixel(PixelSize(size, size))[0]


def doubt(sigma_nm: float, pixel_nm: float) -> str:
    """Describe why a pixel size is doubtful.

    The PSF that was learned with it tells; empty where it is plausible.
    """
    low, high = PLAUSIBLE_SIGMA_NM
    if low <= sigma_nm <= high:
        return ""
    return (
        f"the PSF learned from the movie is {sigma_nm:.0f} nm wide (sigma), which no light microscope's is in focus:"
        f" check the pixel size of {pixel_nm:g} nm"
    )


def stated_pixel_size(file: tifffile.TiffFile) -> PixelSize | None:
    """Read the pixel size of a TIFF without OME-XML.

    Returns None where it states none that is plausible.
    """
    for read in (_micromanager, _imagej, _description, _resolution):
        try:
            size = read(file)
        except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError):
            continue
        if size is not None and size.plausible:
            return size
    return None


def _micromanager(file: tifffile.TiffFile) -> PixelSize | None:
    tag = file.pages.first.tags.get("MicroManagerMetadata")
    nm = None if tag is None else micromanager_tags.pixel_nm(tag.value)
    return None if nm is None else PixelSize(nm, nm)


def _imagej(file: tifffile.TiffFile) -> PixelSize | None:
    if not file.is_imagej or not file.imagej_metadata:
        return None
    return _per_unit(file, file.imagej_metadata["unit"])


def _description(file: tifffile.TiffFile) -> PixelSize | None:
    nm = float(json.loads(file.pages.first.description)["pixel_nm"])
    return PixelSize(nm, nm)


def _resolution(file: tifffile.TiffFile) -> PixelSize | None:
    unit = {2: "inch", 3: "cm", 4: "mm", 5: "um"}[int(file.pages.first.tags["ResolutionUnit"].value)]
    return _per_unit(file, unit)


def _per_unit(file: tifffile.TiffFile, unit: object) -> PixelSize | None:
    tags = file.pages.first.tags
    x, y = (tags[name].value if name in tags else None for name in ("XResolution", "YResolution"))
    x_nm, y_nm = (None if per is None else nm_of(per[1] / per[0], unit) for per in (x, y or x))
    return None if x_nm is None or y_nm is None else PixelSize(x_nm, y_nm)
