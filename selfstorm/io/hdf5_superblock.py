"""Superblock of an HDF5 file whose writer was killed.

HDF5 marks a file as open for writing and refuses to open it while the mark is there. What was written in its
single-writer mode is whole all the same.

Reference: HDF5 File Format Specification 3.0, section II.A, superblock version 3; its tool h5clear does the same.
"""

from __future__ import annotations

import struct

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUPERBLOCK = struct.Struct("<8sBBBBQQQQI")  # ..., version, sizes, flags, base, extension, end, root, checksum
VERSION = 3
MASK = 0xFFFFFFFF


def mark_closed(content: bytes) -> bytes:
    """Return the bytes of a file with its superblock as if it had been closed.

    Anything but a superblock of version 3 with 8-byte addresses is returned as it is.
    """
    if len(content) < SUPERBLOCK.size:
        return content
    signature, version, offsets, lengths, _, base, extension, end, root, _ = SUPERBLOCK.unpack_from(content)
    if (signature, version, offsets, lengths) != (SIGNATURE, VERSION, 8, 8):
        return content
    end = max(end, len(content))
    block = SUPERBLOCK.pack(signature, version, offsets, lengths, 0, base, extension, end, root, 0)[:-4]
    return block + struct.pack("<I", lookup3(block)) + content[SUPERBLOCK.size :]


def lookup3(data: bytes) -> int:
    """Compute HDF5's checksum of at least one byte: 32 bits.

    Reference: Jenkins, lookup3.c, 2006: hashlittle.
    """
    a = b = c = (0xDEADBEEF + len(data)) & MASK
    blocks = (len(data) - 1) // 12
    for at in range(blocks):
        x, y, z = struct.unpack_from("<3I", data, 12 * at)
        a, b, c = _mix((a + x) & MASK, (b + y) & MASK, (c + z) & MASK)
    x, y, z = struct.unpack("<3I", data[12 * blocks :].ljust(12, b"\0"))
    return _final((a + x) & MASK, (b + y) & MASK, (c + z) & MASK)


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):  # the three change places after each step
        a = ((a - c) & MASK) ^ _rotate(c, bits)
        c = (c + b) & MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotate(b, bits)) & MASK
        a, b, c = b, c, a
    return b
