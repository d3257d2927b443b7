"""Layout of a TIFF by the order of its pages."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tifffile

from selfstorm.io.left_out_pages import Index, left_out
from selfstorm.io.page_layout import Layout
from selfstorm.io.tiff_pages import kind_of, usual_kind


def lay_out_chain(file: tifffile.TiffFile, path: Path, table: list[Any]) -> Layout:
    """Lay out all pages of the usual kind, in the order of the file."""
    kinds = [kind_of(page) for page in table]
    usual = usual_kind(kinds)
    inner, promised = _described(file)
    if len(table) == 1 and (raw := _raw_pages(file, table[0], promised)):
        table, kinds = raw, kinds * len(raw)
    named = left_out(path.name, range(len(table)), kinds, usual)
    frames = [index for index, kind in enumerate(kinds) if kind == usual or not kind.reduced]
    inside = math.prod(size for _, size in inner)
    axes = [("time", -(-len(frames) // inside)), *inner]
    pages = {_unravel(at, axes): table[index] for at, index in enumerate(frames) if kinds[index] == usual}
    notes = []
    if promised and promised != len(frames):
        more = "all are read" if promised < len(frames) else "the recording was stopped early, or cut"
        notes.append(f"{path.name}: its description promises {promised} frames, {len(frames)} are there: {more}")
    return Layout(axes, pages, named, notes, paths=(path,))


def _unravel(at: int, axes: Sequence[tuple[str, int]]) -> Index:
    index = []
    for _, size in reversed(axes[1:]):
        at, place = divmod(at, size)
        index.append(place)
    return (at, *reversed(index))


def _described(file: tifffile.TiffFile) -> tuple[list[tuple[str, int]], int]:
    """Read the axes inside of time, and the promised number of frames.

    They are in the first description; [] and 0 without.
    """
    first = file.pages.first
    if file.is_imagej and file.imagej_metadata:
        stated = {name: count_of(file.imagej_metadata.get(name)) for name in ("frames", "slices", "channels", "images")}
        sizes = {"time": stated["frames"], "z": stated["slices"], "channel": stated["channels"]}
        wide = [(name, size) for name, size in sizes.items() if size > 1]
        return (wide[1:] if math.prod(s for _, s in wide) == stated["images"] else []), max(stated["images"], 1)
    if first.is_shaped:
        try:
            shape = [int(side) for side in json.loads(first.shaped_description or "")["shape"]]
        except (ValueError, KeyError, TypeError):
            return [], 0
        outer = [side for side in shape[: len(shape) - len(first.shape)] if side > 1]
        # tifffile writes one description a series: several series of one shape follow each other in time.
        return [(f"axis{at}", size) for at, size in enumerate(outer[1:], 1)], 0
    return [], 0


def count_of(value: Any) -> int:
    """Read a number that is stated; 1 without."""
    return value if isinstance(value, int) and value > 0 else 1


class RawPage:
    """One frame of raw pixels behind a page.

    It has the part of tifffile's page that the reader uses.
    """

    def __init__(self, page: Any, offset: int) -> None:
        self.parent, self.shape, self.dtype, self.keyframe = page.parent, page.shape, page.dtype, page
        self.dataoffsets, self.databytecounts = (offset,), (page.nbytes,)

    def asarray(self) -> Any:
        """Read (H, W)."""
        handle = self.parent.filehandle
        handle.seek(self.dataoffsets[0])
        dtype = self.dtype.newbyteorder(self.parent.byteorder)
        return handle.read_array(dtype, self.keyframe.size).reshape(self.shape)


def _raw_pages(file: tifffile.TiffFile, page: Any, promised: int) -> list[Any]:
    """List the frames behind a single page.

    There are some in ImageJ's big stacks and tifffile's truncated ones; [] otherwise.
    """
    count = promised
    if page.is_shaped:
        try:
            shape = [int(side) for side in json.loads(page.shaped_description)["shape"]]
            count = math.prod(shape) // max(page.size, 1)
        except (ValueError, KeyError, TypeError):
            return []
    elif file.is_stk:
        count = count_of(int(file.stk_metadata["NumberPlanes"])) if file.stk_metadata else 1
    if count < 2 or not page.is_contiguous:
        return []
    size, begin = file.filehandle.size, page.dataoffsets[0]
    tags = [page.offset, *(tag.valueoffset for tag in page.tags)]
    end = min((offset for offset in tags if offset > begin), default=size)
    room = (end - begin) // page.nbytes
    if room < 2:  # what is promised was never written
        return []
    count = count if end == size else min(count, room)
    return [RawPage(page, page.dataoffsets[0] + index * page.nbytes) for index in range(count)]
