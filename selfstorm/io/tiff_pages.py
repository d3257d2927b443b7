"""Pages of a TIFF, each by its own tags.

tifffile's series describe all pages by the first one of each kind, which is fast, and wrong where one page is
compressed, cut or stored otherwise. Here a page shares another's description only where their tags are equal.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from selfstorm.errors import MovieError

# Tags that say how the bytes of a page become pixels.
STRUCTURE = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 266, 274, 277, 278, 284, 292, 293, 317, 322, 323, 332, 338, 339, 347}
    | {512, 513, 514, 529, 530, 531, 532, 32997, 32998}
)
MAX_TAGS = 4096
REDUCED, MASK = 1, 4  # bits of NewSubfileType
WHITE_IS_ZERO = 0


@dataclass(frozen=True, slots=True)
class PageKind:
    """Kind of a page by its pixels.

    Pages of one kind are frames of one movie, however they are compressed.
    """

    height: int
    width: int
    dtype: str
    bits: int
    colour: bool = False
    inverted: bool = False
    reduced: bool = False
    planes: int = 1

    def differences(self, other: PageKind) -> str:
        """Describe how another kind differs from this one."""
        facts = []
        if (self.height, self.width) != (other.height, other.width):
            facts.append(f"{other.height} x {other.width} pixels, not {self.height} x {self.width}")
        if (self.dtype, self.bits) != (other.dtype, other.bits):
            facts.append(f"{_pixels(other)} pixels, not {_pixels(self)}")
        if other.colour and not self.colour:
            facts.append("colour")
        if other.inverted != self.inverted:
            facts.append("white is zero" if other.inverted else "black is zero")
        if other.reduced and not self.reduced:
            facts.append("a preview or mask")
        if other.planes != self.planes:
            facts.append(f"{other.planes} planes")
        return ", ".join(facts) or "another kind of page"


def _pixels(kind: PageKind) -> str:
    return kind.dtype if kind.bits in (8, 16, 32, 64, 128) else f"{kind.bits}-bit"


def page_table(file: tifffile.TiffFile) -> list[Any]:
    """List the pages of one file's chain.

    They decode by their own tags.
    """
    known: dict[tuple[bytes, ...], Any] = {}
    pages: list[Any] = []
    page: Any
    for index, (offset, signature) in enumerate(_directories(file)):
        template = known.get(signature) if signature else None
        if template is None:
            file.filehandle.seek(offset)
            page = tifffile.TiffPage(file, index)
            # tifffile reads contiguous strips in one go, by the first offset: only what is one strip may be shared so.
            if signature and page.dtype is not None and (len(page.dataoffsets) == 1 or not page.is_contiguous):
                known[signature] = page
        else:
            page = tifffile.TiffFrame(file, index, offset=offset, keyframe=template)
        pages.append(page)
    return pages


def _directories(file: tifffile.TiffFile) -> Iterable[tuple[int, tuple[bytes, ...]]]:
    """Yield the offset of each directory, and its structural tags.

    The tags are () where their values do not lie in the directory.
    """
    handle, big = file.filehandle, file.is_bigtiff
    order = file.byteorder
    count_format, entry_size, link_format = (f"{order}Q", 20, f"{order}Q") if big else (f"{order}H", 12, f"{order}I")
    inline = 8 if big else 4
    handle.seek(8 if big else 4)
    (at,) = struct.unpack(link_format, handle.read(struct.calcsize(link_format)))
    visited: set[int] = set()
    while at and at != handle.size:  # a writer that was stopped leaves a link to the page it would have written next
        if at in visited:
            raise MovieError(f"has a loop of pages at byte {at}", where=handle.path, hint="copy it again")
        visited.add(at)
        handle.seek(at)
        head = handle.read(struct.calcsize(count_format))
        count = struct.unpack(count_format, head)[0] if len(head) == struct.calcsize(count_format) else 0
        size = count * entry_size
        block = handle.read(size + struct.calcsize(link_format)) if 0 < count <= MAX_TAGS else b""
        if len(block) < size + struct.calcsize(link_format) or not count:
            raise MovieError(
                f"is truncated: page {len(visited) - 1} at byte {at} is not there",
                where=handle.path,
                hint="copy it again from where it came from",
            )
        yield at, _signature(block[:size], entry_size, order, inline)
        (at,) = struct.unpack(link_format, block[size:])


SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes of a value


def _signature(block: bytes, entry_size: int, order: str, inline: int) -> tuple[bytes, ...]:
    entries = []
    count_format = f"{order}HHQ" if entry_size == 20 else f"{order}HHI"
    for at in range(0, len(block), entry_size):
        code, kind, count = struct.unpack_from(count_format, block, at)
        if code in STRUCTURE:
            if count * SIZES.get(kind, inline + 1) > inline:
                return ()
            entries.append(block[at : at + entry_size])
    return tuple(entries)


def kind_of(page: Any) -> PageKind:
    """Describe the pixels of a page."""
    full = page.keyframe
    shape = tuple(page.shape)
    samples = full.samplesperpixel > 1
    subfile = int(full.subfiletype or 0)
    height, width = (int(full.imagelength), int(full.imagewidth))
    planes = 1 if samples else int(np.prod(shape, dtype=np.int64)) // max(height * width, 1)
    return PageKind(
        height,
        width,
        "unknown" if page.dtype is None else np.dtype(page.dtype).newbyteorder("=").name,
        int(full.bitspersample),
        samples,
        int(full.photometric) == WHITE_IS_ZERO,
        bool(subfile & (REDUCED | MASK)),
        planes,
    )


def usual_kind(kinds: Sequence[PageKind]) -> PageKind:
    """Choose the kind of the movie's frames.

    It is that of most pages, grey full ones preferred; the first of several.
    """
    counts = Counter(kinds)
    return max(counts, key=lambda kind: (not kind.colour and not kind.reduced, counts[kind]))


def stored_bytes(page: Any) -> int:
    """Compute the bytes of a page's pixels without compression."""
    kind = kind_of(page)
    samples = int(page.keyframe.samplesperpixel)
    return kind.height * -(-kind.width * samples * kind.bits // 8)


def check_whole(pages: Sequence[Any], max_ratio: int, hint: str) -> None:
    """Raise MovieError where bytes of a page lie beyond the end of its file.

    The same where they cannot hold its pixels.
    """
    sizes: dict[str, int] = {}
    for index, page in enumerate(pages):
        # Of the handle only the path: the other files of a stack are closed again.
        name = page.parent.filehandle.path
        size = sizes[name] = sizes.get(name) or Path(name).stat().st_size
        spans = list(zip(page.dataoffsets, page.databytecounts, strict=False))
        stored = sum(count for _, count in spans)
        promised = stored_bytes(page)
        end = max((offset + count for offset, count in spans), default=0)
        if end > size or not spans or not all(spans[0]):
            ends = f"ends at byte {end}, the file at {size}" if spans and all(spans[0]) else "is not there"
            raise MovieError(f"is truncated: frame {index} of {len(pages)} {ends}", where=name, hint=hint)
        if promised > stored * (1 if page.keyframe.compression == 1 else max_ratio):
            what = f"frame {index} of {len(pages)} has {promised} bytes of pixels in {stored}"
            raise MovieError(f"is damaged: {what}", where=name, hint=hint)
