"""BigTIFF that grows page by page.

It is readable after every step: a page is appended to the file, and only then linked from the page before it. If the
process is killed or the disk is full in between, the file ends with the last complete page. (Libraries link first and
write later, through a buffer: such a file cannot be opened after either.)

Reference: TIFF 6.0 (Adobe, 1992), with the 64-bit offsets of BigTIFF, little-endian.
"""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np

from selfstorm.frames import Array

HEADER = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0)
FIRST_LINK = 8  # position of the link to the first page
SHORT, LONG, RATIONAL, ASCII, LONG8 = 3, 4, 5, 2, 16
SAMPLE_FORMATS = {"u": 1, "i": 2, "f": 3}
NM_PER_CM = 1e7
MAX_UINT32 = 2**32 - 1
DESCRIPTION_AT = 8 + 5 * 20 + 4  # in a directory: behind its count, five entries, and the tag and its type


class AppendFile:
    """Unbuffered file that is appended to.

    A finished add() is with the operating system, all of it or nothing.

    Args:
        claimed: the file exists already, empty; otherwise it must not exist.
    """

    def __init__(self, path: Path, *, claimed: bool = False) -> None:
        self._file = path.open("rb+" if claimed else "xb+", buffering=0)
        self.size = 0

    def add(self, *parts: bytes | memoryview) -> None:
        """Append all parts.

        Raises:
            OSError: the parts cannot be written; the file is as it was before.
        """
        try:
            for part in parts:
                self._write(part)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self.size)
                self._file.seek(self.size)
            raise
        self.size += sum(len(part) for part in parts)

    def patch(self, position: int, data: bytes) -> None:
        """Overwrite a few bytes."""
        self._file.seek(position)
        self._write(data)
        self._file.seek(self.size)

    def close(self) -> None:
        """Close the file; everything is written already."""
        self._file.close()

    def _write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:  # a nearly full disk writes a part, and raises at the next attempt
            rest = rest[self._file.write(rest) :]


class BigTiff:
    """Pages (H, W) in one file.

    Args:
        pixel_nm: size of a pixel; None if unknown.
        claimed: the file exists already, empty; otherwise it must not exist.

    Attributes:
        pages: number of complete pages.
    """

    def __init__(self, path: Path, *, pixel_nm: float | None, claimed: bool = False) -> None:
        self._pixel_nm = pixel_nm
        self._file = AppendFile(path, claimed=claimed)
        try:
            self._file.add(HEADER)
        except OSError:
            self._file.close()
            path.unlink(missing_ok=True)  # a full disk; nothing is in it
            raise
        self._link, self._first_directory = FIRST_LINK, 0
        self.pages = 0

    def add(self, pixels: Array, description: str = "") -> None:
        """Append one page.

        Args:
            pixels: (H, W).
            description: text of the page.

        Raises:
            OSError: the page cannot be written; the pages before it stay readable.
        """
        little = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
        data, text = little.data.cast("B"), _text(description) if description else b""
        start = self._file.size
        # Pixels, text and directory follow each other; TIFF wants the directory at a multiple of the word size.
        padding = bytes(-(start + len(data) + len(text)) % 8)
        directory_at = start + len(data) + len(text) + len(padding)
        directory = self._directory(little, start, _text_value(text, start + len(data)))
        self._file.add(data, text, padding, directory)
        self._file.patch(self._link, struct.pack("<Q", directory_at))
        self._link = directory_at + len(directory) - 8
        self._first_directory = self._first_directory or directory_at
        self.pages += 1

    def describe(self, description: str) -> None:
        """Replace the description of the first page, which must have one.

        Raises:
            OSError: The description could not be written; the old one stays.
        """
        text, at = _text(description), self._file.size
        self._file.add(text)
        value = struct.pack("<QQ", *_text_value(text, at))
        self._file.patch(self._first_directory + DESCRIPTION_AT, value)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _directory(self, pixels: Array, data_at: int, text: tuple[int, int]) -> bytes:
        """Build the directory of a page.

        Args:
            pixels: pixels of the page, (H, W).
            data_at: position of the pixels in the file, in bytes.
            text: count and value of the description's tag; (0, ...) for a page without one.

        Returns:
            The entries in order of their tags, and a link to the next page, 0 for none.
        """
        height, width = pixels.shape
        entries = [
            (256, LONG, 1, width),
            (257, LONG, 1, height),
            (258, SHORT, 1, 8 * pixels.itemsize),
            (259, SHORT, 1, 1),  # not compressed
            (262, SHORT, 1, 1),  # zero is black
            *([(270, ASCII, *text)] if text[0] else []),
            (273, LONG8, 1, data_at),
            (277, SHORT, 1, 1),  # one sample a pixel
            (278, LONG, 1, height),
            (279, LONG8, 1, pixels.nbytes),
            *self._resolution(),
            (339, SHORT, 1, SAMPLE_FORMATS[pixels.dtype.kind]),
        ]
        packed = b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
        return struct.pack("<Q", len(entries)) + packed + struct.pack("<Q", 0)

    def _resolution(self) -> list[tuple[int, int, int, int]]:
        if self._pixel_nm is None:
            return []
        # The largest denominator with which the numerator still fits into 32 bits, for the least rounding.
        per_cm = NM_PER_CM / max(self._pixel_nm, NM_PER_CM / MAX_UINT32)
        denominator = min(1_000_000, max(1, int(MAX_UINT32 // max(per_cm, 1))))
        ratio = min(MAX_UINT32, round(per_cm * denominator)) | denominator << 32
        return [(282, RATIONAL, 1, ratio), (283, RATIONAL, 1, ratio), (296, SHORT, 1, 3)]  # 3: per centimetre


def _text(description: str) -> bytes:
    return description.encode("utf-8") + b"\0"


def _text_value(text: bytes, at: int) -> tuple[int, int]:
    """Return the (count, value) of a tag whose text lies at a position.

    Up to 8 bytes lie in the tag itself.
    """
    return len(text), int.from_bytes(text, "little") if len(text) <= 8 else at
