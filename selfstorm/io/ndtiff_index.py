"""NDTiff.index: one entry an image, appended while the data set is written. Nothing in it is trusted.

An entry: length and JSON of the image's axes; length and name of its file; eight 32-bit numbers, little-endian: where
its pixels begin, width, height, pixel type, pixel compression, where its metadata begins, its length, its compression.

Micro-Manager extends the file with zeros beforehand and shortens it at the end; other writers hand on whole buffers,
cut anywhere. So what is not a whole entry is not there yet.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

import numpy as np

from selfstorm.frames import MAX_SIDE_PX

NAME = "NDTiff.index"
MOST_AXES_BYTES, MOST_NAME_BYTES, MOST_METADATA_BYTES = 65_536, 1024, 2**24
NUMBERS = struct.Struct("<8I")
LENGTH = struct.Struct("<I")
GREY = {0: "uint8", 1: "uint16", 3: "uint16", 4: "uint16", 5: "uint16", 6: "uint16"}
COLOUR = 2


class IndexFaultError(ValueError):
    """Bytes that are no entry of an NDTiff index and will not become one; says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image. file: a plain name in the data set's folder. dtype: numpy name of its little-endian pixels."""

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
        return self.height * self.width * np.dtype(self.dtype).itemsize

    @property
    def end(self) -> int:
        """Where in its file the image ends."""
        return max(self.pixels_at + self.pixel_bytes, self.metadata_at + self.metadata_bytes)


def read_entry(data: bytes, at: int) -> tuple[Entry, int] | None:
    """The entry that begins at that byte, and where the next one begins; None where it is not whole yet.

    Raises IndexFaultError.
    """
    axes = _counted(data, at, MOST_AXES_BYTES, "axes")
    if axes is None:
        return None
    name = _counted(data, at + LENGTH.size + len(axes), MOST_NAME_BYTES, "file name")
    if name is None:
        return None
    at += 2 * LENGTH.size + len(axes) + len(name)
    if len(data) < at + NUMBERS.size:
        return None
    pixels_at, width, height, kind, packed, metadata_at, metadata_bytes, metadata_packed = NUMBERS.unpack_from(data, at)
    if 0 in (pixels_at, width, height, metadata_at, metadata_bytes):
        return None
    if packed or metadata_packed:
        raise IndexFaultError("its images are compressed in an unknown way")
    if kind not in GREY:
        raise IndexFaultError("its images are in colour" if kind == COLOUR else f"pixel type {kind} is unknown")
    if max(width, height) > MAX_SIDE_PX or metadata_bytes > MOST_METADATA_BYTES:
        raise IndexFaultError(f"an image of {width} x {height} pixels with {metadata_bytes} bytes of metadata")
    entry = Entry(_axes(axes), _file(name), pixels_at, height, width, GREY[kind], metadata_at, metadata_bytes)
    return entry, at + NUMBERS.size


def _counted(data: bytes, at: int, most: int, what: str) -> bytes | None:
    """The bytes behind a length; None where they are not all there, or still the zeros the file was extended with."""
    if len(data) < at + LENGTH.size:
        return None
    (length,) = LENGTH.unpack_from(data, at)
    if length > most:
        raise IndexFaultError(f"{length} bytes of {what}")
    part = data[at + LENGTH.size : at + LENGTH.size + length]
    return part if length and len(part) == length and part[-1:] != b"\0" else None


def _axes(text: bytes) -> dict[str, int | str]:
    try:
        axes = json.loads(text)
    except (ValueError, RecursionError):
        raise IndexFaultError("the axes of an image are no JSON") from None
    if not isinstance(axes, dict) or not all(type(at) in (int, str) for at in axes.values()):
        raise IndexFaultError(f"{text[:80]!r} are no axes")
    return axes


def _file(name: bytes) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise IndexFaultError("a file name is no text") from None
    if text in ("", ".", "..") or any(sign in text for sign in '/\\:\0*?"<>|'):
        raise IndexFaultError(f"{text!r} is no name of a file in its folder")
    return text
