"""NDTiff.index: one entry per image.

Appended while the data set is written.
Nothing in it is trusted. An entry: length and JSON of the image's axes; length and name of its file; eight 32-bit
numbers, little-endian: where its pixels begin, width, height, pixel type, pixel compression, where its metadata begins,
its length, its compression.

Micro-Manager extends the file with zeros beforehand and shortens it at the end; other writers append whole buffers,
cut anywhere. An incomplete entry is therefore not there yet.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

import numpy as np

from selfstorm.errors import SelfStormError
from selfstorm.frames import MAX_SIDE_PX

NAME = "NDTiff.index"
MAX_AXES_BYTES, MAX_NAME_BYTES, MAX_METADATA_BYTES = 65_536, 1024, 2**24
NUMBERS = struct.Struct("<8I")
LENGTH = struct.Struct("<I")
GREY = {0: "uint8", 1: "uint16", 3: "uint16", 4: "uint16", 5: "uint16", 6: "uint16"}
COLOUR = 2


class IndexFaultError(SelfStormError):
    """Bytes that are not an entry of an NDTiff index and will not become one."""


class UnsupportedImageError(IndexFaultError):
    """An intact entry of an image that is not a camera frame, or compressed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image.

    file: a plain name in the data set's folder. dtype: numpy name of its little-endian pixels.
    """

    axes: dict[str, int | str]
    file: str
    pixels_at: int
    height: int
    width: int
    dtype: str
    metadata_at: int
    metadata_bytes: int

    @property
    def pixel_bytes(self) -> int:
        """Bytes of its pixels."""
        return self.height * self.width * np.dtype(self.dtype).itemsize

    @property
    def end(self) -> int:
        """End of the image in its file, bytes."""
        return max(self.pixels_at + self.pixel_bytes, self.metadata_at + self.metadata_bytes)


def read_entry(data: bytes, at: int) -> tuple[Entry, int] | None:
    """Read the entry at a byte, and where the next one begins.

    Returns:
        None where the entry is not complete yet.

    Raises:
        IndexFaultError: it is damaged, or of an image that cannot be read.
    """
    axes = _counted(data, at, MAX_AXES_BYTES, "axes")
    if axes is None:
        return None
    name = _counted(data, at + LENGTH.size + len(axes), MAX_NAME_BYTES, "file name")
    if name is None:
        return None
    at += 2 * LENGTH.size + len(axes) + len(name)
    if len(data) < at + NUMBERS.size:
        return None
    pixels_at, width, height, kind, packed, metadata_at, metadata_bytes, metadata_packed = NUMBERS.unpack_from(data, at)
    if 0 in (pixels_at, width, height, metadata_at, metadata_bytes):
        return None
    if packed or metadata_packed:
        raise UnsupportedImageError("its images are compressed in an unknown way")
    if kind not in GREY:
        raise UnsupportedImageError("its images are in colour" if kind == COLOUR else f"pixel type {kind} is unknown")
    if max(width, height) > MAX_SIDE_PX or metadata_bytes > MAX_METADATA_BYTES:
        raise IndexFaultError(f"an image of {width} x {height} pixels with {metadata_bytes} bytes of metadata")
    entry = Entry(_axes(axes), _file(name), pixels_at, height, width, GREY[kind], metadata_at, metadata_bytes)
    return entry, at + NUMBERS.size


def _counted(data: bytes, at: int, limit: int, what: str) -> bytes | None:
    """Read the bytes behind a length; None where they are not all written yet."""
    if len(data) < at + LENGTH.size:
        return None
    (length,) = LENGTH.unpack_from(data, at)
    if length > limit:
        raise IndexFaultError(f"{length} bytes of {what}")
    part = data[at + LENGTH.size : at + LENGTH.size + length]
    return part if length and len(part) == length and part[-1:] != b"\0" else None


def _axes(text: bytes) -> dict[str, int | str]:
    try:
        axes = json.loads(text)
    except (ValueError, RecursionError):
        raise IndexFaultError("the axes of an image are not JSON") from None
    if not isinstance(axes, dict) or not all(type(at) in (int, str) for at in axes.values()):
        raise IndexFaultError(f"{text[:80]!r} are not axes")
    return axes


def _file(name: bytes) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise IndexFaultError("a file name is not text") from None
    if text in ("", ".", "..") or any(sign in text for sign in '/\\:\0*?"<>|'):
        raise IndexFaultError(f"{text!r} is not a file name")
    return text
