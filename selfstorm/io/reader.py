"""Interface of the movie formats.

Frames one by one, with their numbers and times.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from selfstorm.errors import MovieError
from selfstorm.frames import MAX_SIDE_PX, Array

PIXEL_TYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Number and time of a frame.

    number: the camera's own count; a gap is lost frames. camera_ms: its clock, None where unknown.
    """

    number: int
    camera_ms: float | None = None


@dataclass(frozen=True, slots=True)
class AcquisitionInfo:
    """Acquisition settings; None for those that the file does not state.

    frames: of the acquisition, those included that the file does not have.
    """

    exposure_ms: float | None = None
    rate_hz: float | None = None
    offset_adu: float | None = None
    gain_adu_per_electron: float | None = None
    camera: str = ""
    binning: int = 1
    roi_yx: tuple[int, int] = (0, 0)
    frames: int | None = None


class Reader(Protocol):
    """A movie of one format.

    Opening it reads what describes the frames, never their pixels.
    length: frames. height, width: camera pixels. dtype: of the pixels as stored. paths: the files that are read, or a
    folder where all of it is. notes: sentences on what of the file is no part of the movie. Raises MovieError.
    """

    length: int
    height: int
    width: int
    dtype: np.dtype[Any]
    pixel_nm: float | None
    acquisition: AcquisitionInfo
    paths: tuple[Path, ...]
    notes: tuple[str, ...]

    def pixels(self, index: int) -> Array:
        """Read (H, W) of one frame, as stored."""
        ...

    def stamp(self, index: int) -> Stamp:
        """Read number and time of one frame."""
        ...

    def close(self) -> None:
        """Close all files."""
        ...


def check_field(where: object, height: int, width: int, dtype: Any) -> None:
    """Raise MovieError for frames that cannot be a camera's."""
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX):
        raise MovieError(
            f"has frames of {height} x {width} pixels",
            where=where,
            hint=f"give frames of at most {MAX_SIDE_PX} pixels a side",
        )
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).newbyteorder("=").name
    if name not in PIXEL_TYPES:
        raise MovieError(f"has {name} pixels", where=where, hint=f"save it as one of {', '.join(PIXEL_TYPES)}")
