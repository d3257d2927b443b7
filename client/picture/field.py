"""Field of view shared by the pictures of a window, and its units. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from client.picture.pictures import PicturePair
from daemon.protocol.messages import PictureHeader

NM_PER_UM = 1000.0


@dataclass(frozen=True, slots=True)
class PictureField:
    """Rectangle of a picture, from 0 to width and from 0 to height.

    The unit is a micrometre or, without a pixel size, a camera pixel.
    """

    width: float
    height: float
    unit: str


def field_of(pair: PicturePair) -> PictureField:
    """Return the field that the pictures of a window cover."""
    scale = pair.sr.header.scale
    height, width = (side / scale for side in pair.sr.header.shape)
    pixel_nm = _camera_pixel_nm(pair.sr.header)
    if pixel_nm is None:
        return PictureField(width, height, "px")
    return PictureField(width * pixel_nm / NM_PER_UM, height * pixel_nm / NM_PER_UM, "µm")


def _camera_pixel_nm(header: PictureHeader) -> float | None:
    pixel_nm = header.pixel_nm
    return None if pixel_nm is None else pixel_nm * header.scale


def round_length(longest: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten up to `longest` > 0."""
    power = 10.0 ** math.floor(math.log10(longest))
    return next(step * power for step in (5, 2, 1) if step * power <= longest * (1 + 1e-9))


def length_text(length: float, unit: str) -> str:
    """Format a length: '2 µm', '500 nm', '10 px'."""
    if unit == "µm" and length < 1:
        return f"{length * NM_PER_UM:g} nm"
    return f"{length:g} {unit}"
