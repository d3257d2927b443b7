"""Streams, camera frames, windows of frames, and the pictures' grid.

The super-resolved (SR) grid: a camera pixel is divided into `scale` x `scale` SR cells, and SR
cell (j, i) is centred at ((j + 0.5) * pitch, (i + 0.5) * pitch) from the *corner* of the first camera pixel, with
pitch = pixel_nm / scale. Every renderer and exporter uses the functions at the end of this file.

numpy and pydantic only: a viewer imports this file without torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Array = NDArray[Any]
PixelType = Literal["uint8", "uint16", "int16", "uint32", "int32", "float32"]
MAX_SIDE_PX = 16_384


class Region(NamedTuple):
    """Rectangle of a picture, in its pixels.

    It has the rows y .. y + height and the columns x .. x + width.
    """

    y: Annotated[int, Field(ge=0, lt=MAX_SIDE_PX)]
    x: Annotated[int, Field(ge=0, lt=MAX_SIDE_PX)]
    height: Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
    width: Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]

    def within(self, height: int, width: int) -> bool:
        """Return whether a picture of that size contains the region."""
        return self.y + self.height <= height and self.x + self.width <= width

    def of(self, picture: Array) -> Array:
        """Return the region of a picture (H, W), as a view."""
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]


def _cut_text(limit: int) -> BeforeValidator:
    """Make a driver's text or a path fit into a message.

    Its end is cut, and half a character, as of another code page, is replaced.
    """
    return BeforeValidator(
        lambda text: text[:limit].encode("utf-8", "replace").decode() if isinstance(text, str) else text
    )


class StreamInfo(BaseModel):
    """Description of one unbroken stream of frames.

    A change of any field starts a new stream. Height and width are in camera pixels, bit_depth in bits that the camera
    uses. Fields that are None are unknown.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    stream: str = Field(min_length=8, max_length=64, pattern=r"^[0-9A-Za-z_-]+$")  # it names files
    source: Annotated[str, Field(max_length=1024), _cut_text(1024)]
    height: int = Field(ge=1, le=MAX_SIDE_PX)
    width: int = Field(ge=1, le=MAX_SIDE_PX)
    dtype: PixelType
    pixel_nm: float | None = Field(default=None, gt=0, le=1e6)
    exposure_ms: float | None = Field(default=None, ge=0)
    rate_hz: float | None = Field(default=None, gt=0)
    offset_adu: float | None = None
    gain_adu_per_electron: float | None = Field(default=None, gt=0)
    camera: Annotated[str, Field(max_length=256), _cut_text(256)] = ""
    bit_depth: int | None = Field(default=None, ge=1, le=32)
    binning: int = Field(default=1, ge=1, le=64)
    roi_yx: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera frame.

    Attributes:
        stream: stream that it belongs to.
        seq: number in its stream, from 0 without holes.
        number: the camera's own count.
        pixels: (H, W), read-only, ADU.
        camera_ms: time by the camera's clock; None where it has none.
        sent_unix_ns: time by the camera process's clock.
        received_unix_ns: time by the daemon's clock.
    """

    stream: str
    seq: int
    number: int
    pixels: Array
    camera_ms: float | None
    sent_unix_ns: int
    received_unix_ns: int


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive frames of one stream, less those missing.

    Attributes:
        index: number of the window in its run.
        info: description of the stream.
        first_seq: seq of the first frame of the window.
        last_seq: seq of the last frame of the window.
        frames: frames that arrived.
        missing: seq of those that did not.
        before: frames of windows skipped since the last one, which are in no window that was processed.
        stride: frames until the next window begins.
        region: region of the camera's field that the frames are cut to; None for all of it.
    """

    index: int
    info: StreamInfo
    first_seq: int
    last_seq: int
    frames: tuple[Frame, ...]
    missing: tuple[int, ...] = ()
    before: tuple[Frame, ...] = ()
    stride: int = 1
    region: Region | None = None


def window_starts(frames: int, length: int, stride: int) -> Iterator[int]:
    """Iterate over the first frames of a movie's sliding windows.

    Offline and live use the same windows. Frames after the last whole window belong to none.
    """
    return iter(range(0, frames - length + 1, stride))


def cell_centres_nm(cells: int, pitch_nm: float) -> Array:
    """Compute the centres of SR cells along one axis.

    Returns:
        (cells,) float64 nm from the corner of the first camera pixel.
    """
    return (np.arange(cells) + 0.5) * pitch_nm


def to_cells(position_nm: Array | float, pitch_nm: float) -> Any:
    """Convert positions in nm from the corner to fractional cell indices.

    Cell centres have whole numbers.
    """
    return np.asarray(position_nm) / pitch_nm - 0.5
