"""PNG files in memory, without a window toolkit."""

from __future__ import annotations

import struct
import zlib

from selfstorm.frames import Array

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY_8_BIT = (8, 0, 0, 0, 0)  # depth, colour type, compression, filter, interlacing


def grey_png(pixels: Array) -> bytes:
    """Encode (H, W) uint8 as a grey PNG."""
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # filter 0 of every row
    header = struct.pack(">IIBBBBB", width, height, *GREY_8_BIT)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
