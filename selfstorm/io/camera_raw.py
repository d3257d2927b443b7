"""Bare camera frames one after another in a file, described elsewhere.

.raw with .yaml     Picasso: Schnitzbauer et al., Nature Protocols 12, 1198 (2017)
.dax with .inf      the Zhuang laboratory's, as storm-analysis reads it
.spe                Princeton Instruments' header of 4100 bytes: WinSpec 2.6 manual, appendix C
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import MovieError
from selfstorm.frames import Array
from selfstorm.io.axes import Selection, movie_axis
from selfstorm.io.left_out_pages import ranges
from selfstorm.io.picasso import yaml_documents
from selfstorm.io.reader import AcquisitionInfo, Stamp, check_field
from selfstorm.io.regular_file import read_regular

SPE_HEADER = 4100  # bytes
SPE_TYPES = {0: "<f4", 1: "<i4", 2: "<i2", 3: "<u2", 5: "<f8", 6: "u1", 8: "<u4"}
MAX_SIDECAR = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class RawLayout:
    """Description of the frames of a file.

    Attributes:
        frames: as many as are promised.
        height: camera pixels.
        width: camera pixels.
        dtype: of a pixel, with its byte order.
        begin: bytes before the first frame.
        pixel_nm: None where it is not stated.
        paths: files that were read for it, the file itself first.
    """

    frames: int
    height: int
    width: int
    dtype: np.dtype[Any]
    begin: int
    pixel_nm: float | None
    paths: tuple[Path, ...]


def is_camera_raw(path: Path) -> bool:
    """Tell whether a file's ending is that of bare frames."""
    return path.suffix.lower() in LAYOUTS


class CameraRawReader:
    """A movie of bare frames; see Reader."""

    def __init__(self, path: Path, select: Selection) -> None:
        self._path = path
        if not path.is_file():
            raise MovieError("no such file", where=path, hint="check the path")
        layout = _layout(path)
        check_field(path, layout.height, layout.width, layout.dtype)
        movie_axis([("time", layout.frames)], select, path)
        self.height, self.width, self.dtype = layout.height, layout.width, layout.dtype
        self._begin, self._frame_bytes = layout.begin, layout.height * layout.width * layout.dtype.itemsize
        there = (path.stat().st_size - layout.begin) // self._frame_bytes
        if there < 1:
            raise MovieError("is truncated: it holds no whole frame", where=path, hint="copy it again")
        self.length = min(layout.frames, there)
        self.pixel_nm, self.paths = layout.pixel_nm, layout.paths
        self.notes = tuple(_notes(path.name, layout.frames, there))
        self.acquisition = AcquisitionInfo()
        self._file = path.open("rb")

    def pixels(self, index: int) -> Array:
        """Read (H, W) of one frame, as stored."""
        self._file.seek(self._begin + index * self._frame_bytes)
        content = self._file.read(self._frame_bytes)
        if len(content) < self._frame_bytes:
            raise MovieError(f"ends within frame {index}", where=self._path, hint="copy it again")
        return np.frombuffer(content, self.dtype).reshape(self.height, self.width)

    def stamp(self, index: int) -> Stamp:
        """Return a frame's index; no times are stated."""
        return Stamp(index)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _notes(name: str, promised: int, there: int) -> list[str]:
    if there < promised:
        missing = range(there, promised)
        return [f"{name}: frames {ranges(missing)} of {promised} are missing: the recording was stopped early, or cut"]
    if there > promised:
        more = f"{there - promised} more frames are behind the {promised} that are described"
        return [f"{name}: {more}: they are left out"]
    return []


def _layout(path: Path) -> RawLayout:
    try:
        layout = LAYOUTS[path.suffix.lower()](path)
        if layout.frames < 1 or layout.height < 1 or layout.width < 1:
            raise ValueError(f"{layout.frames} frames of {layout.height} x {layout.width}")
    except FileNotFoundError as error:
        name = Path(error.filename or "").name
        raise MovieError(f"has no {name} beside it, which describes it", where=path, hint=f"put {name} there") from None
    except (KeyError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise MovieError(f"is not described in a way that is known ({error})", where=path, hint=HINT) from None
    return layout


HINT = "save it again as TIFF, or correct the file that describes it"


def _picasso(path: Path) -> RawLayout:
    sidecar = path.with_suffix(".yaml")
    facts = {key: value for document in reversed(yaml_documents(path)) for key, value in document.items()}
    order = str(facts["Byte Order"]).strip("'\"")
    if order not in ("<", ">"):
        raise ValueError(f"byte order {order!r}")
    dtype = np.dtype(str(facts["Data Type"]).strip("'\"")).newbyteorder("<" if order == "<" else ">")
    pixel = facts.get("Pixelsize")
    nm = float(pixel) if isinstance(pixel, int | float) and pixel > 0 else None
    sides = int(facts["Frames"]), int(facts["Height"]), int(facts["Width"])
    return RawLayout(*sides, dtype, 0, nm, (path, sidecar))


def _dax(path: Path) -> RawLayout:
    sidecar = path.with_suffix(".inf")
    text = read_regular(sidecar, HINT, MAX_SIDECAR).decode("latin-1")

    def stated(pattern: str) -> tuple[str, ...]:
        found = re.search(pattern, text, re.IGNORECASE)
        if found is None:
            raise ValueError(f"{sidecar.name} lacks '{pattern.partition(' = ')[0]}'")
        return found.groups()

    width, height = map(int, stated(r"frame dimensions = (\d+) x (\d+)"))
    (frames,) = map(int, stated(r"number of frames = (\d+)"))
    bits, order = stated(r"data type = (\d+) bit integers? \(binary, (big|little)[- ]endian\)")
    if bits not in ("8", "16", "32"):
        raise ValueError(f"{bits}-bit pixels")
    dtype = np.dtype(f"u{int(bits) // 8}").newbyteorder(">" if order.lower() == "big" else "<")
    return RawLayout(frames, height, width, dtype, 0, None, (path, sidecar))


def _spe(path: Path) -> RawLayout:
    with path.open("rb") as file:
        header = file.read(SPE_HEADER)
    if len(header) < SPE_HEADER:
        raise MovieError("is truncated: its header is not whole", where=path, hint="copy it again")
    (width,), (height,) = struct.unpack_from("<H", header, 42), struct.unpack_from("<H", header, 656)
    (kind,), (frames,) = struct.unpack_from("<h", header, 108), struct.unpack_from("<i", header, 1446)
    if kind not in SPE_TYPES:
        raise ValueError(f"type of pixels {kind}")
    return RawLayout(frames, height, width, np.dtype(SPE_TYPES[kind]), SPE_HEADER, None, (path,))


LAYOUTS: dict[str, Callable[[Path], RawLayout]] = {".raw": _picasso, ".dax": _dax, ".spe": _spe}
