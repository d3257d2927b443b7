"""Recordings of the daemon (daemon/recording/recorder.py).

NAME.tif has a page for each frame, NAME.jsonl a line.
A recording cut short by a killed daemon is read as far as both files agree.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import ValidationError

from selfstorm.errors import MovieError
from selfstorm.frames import Array, StreamInfo
from selfstorm.io.reader import AcquisitionInfo, Stamp, check_field
from selfstorm.io.regular_file import check_regular

INDEX = ".jsonl"
DESCRIPTION, STRIP_OFFSETS, STRIP_BYTE_COUNTS = 270, 273, 279
MAX_TAGS = 64
MAX_LISTED = 8
NS_PER_MS = 1e6


class RecordingReader:
    """Recording of one stream, in one file or several; see Reader.

    There are several where the recorder was restarted.
    seqs: (T,) stream numbers of the recorded frames.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._parts: list[_Part] = []
        self.paths = tuple(file for path in paths for file in (path, path.with_suffix(INDEX)))
        self.notes: tuple[str, ...] = ()
        try:
            self._parts += [_Part(path) for path in paths]
            self._parts.sort(key=lambda part: int(part.seqs[0]))
            info = self._parts[0].info
            if len({part.info.stream for part in self._parts}) > 1:
                raise _several_streams(self._parts)
        except BaseException:
            self.close()
            raise
        self.height, self.width, self.dtype = info.height, info.width, np.dtype(info.dtype)
        self.pixel_nm = info.pixel_nm
        self.acquisition = AcquisitionInfo(
            exposure_ms=info.exposure_ms,
            rate_hz=info.rate_hz,
            offset_adu=info.offset_adu,
            gain_adu_per_electron=info.gain_adu_per_electron,
            camera=info.camera,
            binning=info.binning,
            roi_yx=info.roi_yx,
        )
        self._ends = np.cumsum([len(part.seqs) for part in self._parts])
        self.length = int(self._ends[-1])
        seqs, numbers = (np.concatenate([getattr(part, name) for part in self._parts]) for name in ("seqs", "numbers"))
        if (np.diff(seqs) < 1).any():
            raise self._closed_by(MovieError("has frames twice or out of order", where=self._parts[0].path))
        self.seqs = seqs
        # A camera without a frame counter leaves the stream's own numbers.
        self._numbers = numbers if (np.diff(numbers) > 0).all() else seqs
        self._camera_ms = np.concatenate([part.camera_ms for part in self._parts])
        if np.isnan(self._camera_ms).any():
            sent_ns = np.concatenate([part.sent_ns for part in self._parts])
            self._camera_ms = (sent_ns - sent_ns[0]) / NS_PER_MS

    def pixels(self, index: int) -> Array:
        """Read (H, W) of one frame, as stored."""
        at = int(np.searchsorted(self._ends, index, side="right"))
        part = self._parts[at]
        return part.pixels(index - (int(self._ends[at]) - len(part.seqs)))

    def stamp(self, index: int) -> Stamp:
        """Return number and time of one frame."""
        return Stamp(int(self._numbers[index]), float(self._camera_ms[index]))

    def close(self) -> None:
        """Close all files."""
        for part in self._parts:
            part.close()

    def _closed_by(self, error: MovieError) -> MovieError:
        self.close()
        return error


class _Part:
    """One TIFF and its index."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for file in (path, path.with_suffix(INDEX)):
            check_regular(file, "copy the recording again")
        self._file: IO[bytes] = path.open("rb", buffering=0)
        try:
            description, offsets = _pages(self._file, path)
            try:
                self.info = StreamInfo.model_validate_json(description)
            except ValidationError:
                raise _not_a_recording(path) from None
            check_field(path, self.info.height, self.info.width, self.info.dtype)
            self._stored = np.dtype(self.info.dtype).newbyteorder("<")
            bytes_ = self.info.height * self.info.width * self._stored.itemsize
            # Page and line of the same place belong together; what is wrong in one of them is left out.
            pairs = zip(offsets, _lines(path.with_suffix(INDEX), self.info), strict=False)
            kept = [(offset, line) for (offset, count), line in pairs if count == bytes_ and line is not None]
            if not kept:
                raise MovieError("holds no complete frame", where=path)
            self._offsets, lines = [offset for offset, _ in kept], [line for _, line in kept]
        except BaseException:
            self.close()
            raise
        seqs, numbers, sent_ns, camera_ms = zip(*lines, strict=True)
        self.seqs, self.numbers, self.sent_ns = (np.array(column, np.int64) for column in (seqs, numbers, sent_ns))
        self.camera_ms = np.array(camera_ms, np.float64)

    def pixels(self, index: int) -> Array:
        self._file.seek(self._offsets[index])
        pixels = np.empty((self.info.height, self.info.width), self._stored)
        if self._file.readinto(pixels.data.cast("B")) != pixels.nbytes:  # type: ignore[attr-defined]
            raise MovieError(f"became shorter while it was read: frame {index} is missing", where=self.path)
        return pixels

    def close(self) -> None:
        self._file.close()


def _several_streams(parts: list[_Part]) -> MovieError:
    """Make the error for a folder with recordings of several streams."""
    streams: dict[str, list[_Part]] = {}
    for part in sorted(parts, key=lambda part: part.path.name):
        streams.setdefault(part.info.stream, []).append(part)
    listed = [f"{some[0].path.name} ({sum(len(part.seqs) for part in some)} frames)" for some in streams.values()]
    more = f" and {len(listed) - MAX_LISTED} more" if len(listed) > MAX_LISTED else ""
    return MovieError(
        f"is a folder with {len(listed)} recordings",
        where=parts[0].path.parent,
        hint=f"name one of them: {', '.join(listed[:MAX_LISTED])}{more}",
    )


def _not_a_recording(path: Path) -> MovieError:
    return MovieError("is not a recording", where=path, hint=f"move {path.stem}{INDEX} away to read it as a TIFF")


def _pages(file: IO[bytes], path: Path) -> tuple[str, list[tuple[int, int]]]:
    """Read the first description, and (offset, bytes) of each page's pixels.

    It reads up to where the file is cut; tifffile would report such a file as damaged.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    if len(head) < 16 or head[:8] != b"II\x2b\x00\x08\x00\x00\x00":
        raise _not_a_recording(path)
    (at,) = struct.unpack("<Q", head[8:])
    pages: list[tuple[int, int]] = []
    description, before = "", 0
    while at and before < at <= size - 8:
        before = at
        file.seek(at)
        (count,) = struct.unpack("<Q", file.read(8))
        if not 0 < count <= MAX_TAGS:
            break
        block = file.read(count * 20 + 8)
        if len(block) < count * 20 + 8:
            break
        tags = {code: (number, value) for code, _, number, value in struct.iter_unpack("<HHQQ", block[:-8])}
        (at,) = struct.unpack("<Q", block[-8:])
        offset, bytes_ = tags.get(STRIP_OFFSETS, (0, 0)), tags.get(STRIP_BYTE_COUNTS, (0, 0))
        if offset[0] != 1 or bytes_[0] != 1 or offset[1] + bytes_[1] > size:
            break
        if not pages and DESCRIPTION in tags:
            length, where = tags[DESCRIPTION]
            if where + length <= size:
                file.seek(where)
                description = file.read(min(length, 65_536)).rstrip(b"\0").decode("utf-8", "replace")
        pages.append((offset[1], bytes_[1]))
    return description, pages


def _lines(path: Path, info: StreamInfo) -> Iterator[tuple[int, int, int, float] | None]:
    """Yield (seq, number, sent_unix_ns, camera_ms or nan) of each line.

    It is None for a line of another stream.
    """
    shape = [info.height, info.width]
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):  # cut by a killed daemon
                return
            try:
                header: dict[str, Any] = json.loads(line)
                if header["shape"] != shape or header["dtype"] != info.dtype or header["stream"] != info.stream:
                    raise ValueError
                numbers = [header[key] for key in ("seq", "number", "sent_unix_ns")]
                if not all(type(n) is int and -(2**63) <= n < 2**63 for n in numbers) or numbers[0] < 0:
                    raise ValueError
                camera_ms = math.nan if header.get("camera_ms") is None else float(header["camera_ms"])
            except (ValueError, KeyError, TypeError, RecursionError):
                yield None
                continue
            yield numbers[0], numbers[1], numbers[2], camera_ms
