"""Layout of a Micro-Manager stack, by its index maps or its images' tags."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import tifffile

from selfstorm.errors import MovieError
from selfstorm.io import micromanager_tags, ome_xml
from selfstorm.io.left_out_pages import Index, LeftOut, keep_usual
from selfstorm.io.page_layout import TOGETHER, Layout
from selfstorm.io.tiff_layout_chain import count_of, lay_out_chain
from selfstorm.io.tiff_open import open_tiff
from selfstorm.io.tiff_pages import page_table


def index_map_of(file: tifffile.TiffFile) -> Any:
    """Return Micro-Manager's summary and index map; None without."""
    if not file.is_micromanager and not file.is_mmstack:
        return None
    stated = file.micromanager_metadata or {}
    if "IndexMap" not in stated or "Summary" not in stated or stated.get("MajorVersion", 1) != 0:
        return None
    return stated


def lay_out_micromanager(file: tifffile.TiffFile, path: Path, table: list[Any], stated: Any) -> Layout:
    """Lay out a stack by the index maps of all its files."""
    summary = stated["Summary"]
    order = [("position", "Positions"), ("time", "Frames"), ("z", "Slices"), ("channel", "Channels")]
    column = {"channel": 0, "z": 1, "time": 2, "position": 3}
    places: dict[Index, Any] = {}
    named: list[LeftOut] = []
    number: dict[int, tuple[str, int]] = {}
    paths = [path]

    def add(name: str, pages: list[Any], index_map: Any) -> None:
        by_offset = {page.offset: page for page in pages}
        number.update({id(page): (name, index) for index, page in enumerate(pages)})
        mapped = set()
        for row in index_map.tolist():
            if row[4] in by_offset:
                places[tuple(row[column[axis]] for axis, _ in order)] = by_offset[row[4]]
                mapped.add(row[4])
        if spare := [index for index, page in enumerate(pages) if page.offset not in mapped]:
            named.append(LeftOut(name, tuple(spare), "the index of the file does not say where they belong"))

    add(path.name, table, stated["IndexMap"])
    promised = math.prod(count_of(summary.get(key)) for _, key in order)
    if promised > len(places):
        for other in _other_files(path):
            with open_tiff(other) as opened:
                more = index_map_of(opened)
                if more is not None:
                    add(other.name, page_table(opened), more["IndexMap"])
                    paths.append(other)
    if not places:
        return lay_out_chain(file, path, table)
    first = [min(place[at] for place in places) for at in range(4)]
    sizes = [max(place[at] for place in places) + 1 for at in range(4)]
    whole = len(paths) > 1 or promised <= len(places)
    start = [0] * 4 if whole else first  # a file of a larger set that is alone here
    axes = [(axis, sizes[at] - start[at]) for at, (axis, _) in enumerate(order)]
    pages = {tuple(place[at] - start[at] for at in range(4)): page for place, page in places.items()}
    notes = []
    if promised > len(places):
        notes.append(
            f"{path.name}: {promised} images were planned, {len(places)} are here: the acquisition was stopped early,"
            " or files of the stack are not in the folder"
        )
    keep_usual(pages, named, number)
    return Layout(axes, pages, named, notes, paths=tuple(paths))


TAG = "MicroManagerMetadata"


TAG_AXES = (
    ("position", ("PositionIndex",)),
    ("time", ("FrameIndex", "Frame")),
    ("z", ("SliceIndex", "Slice")),
    ("channel", ("ChannelIndex",)),
)


def lay_out_by_tags(file: tifffile.TiffFile, path: Path, table: list[Any]) -> Layout | None:
    """Lay out a stack by the tags of its images; None where they do not say.

    Micro-Manager writes the index map at the end: a run that was stopped has none.
    """
    if not file.is_micromanager or _tag_place(table[0]) is None:
        return None
    placed = [_tag_place(page) for page in table]
    pages = {place: page for place, page in zip(placed, table, strict=True) if place is not None}
    if len(pages) < len(table):
        return None
    number = {id(page): (path.name, index) for index, page in enumerate(table)}
    axes = [(axis, max(place[at] for place in pages) + 1) for at, (axis, _) in enumerate(TAG_AXES)]
    named: list[LeftOut] = []
    keep_usual(pages, named, number)
    return Layout(axes, pages, named, paths=(path,))


def _tag_place(page: Any) -> Index | None:
    tags = page.aspage().tags.valueof(TAG)
    if not isinstance(tags, dict):
        return None
    place = [micromanager_tags.number(tags, *names) for _, names in TAG_AXES]
    if place[1] is None or any(at is not None and not 0 <= at < ome_xml.MAX_PLANES for at in place):
        return None
    return tuple(int(at or 0) for at in place)


def _other_files(path: Path) -> list[Path]:
    """List the other files of a stack.

    Raises MovieError where one between two others is missing.
    """
    before, mark, _ = path.name.partition("_MMStack")
    if not mark:
        return []
    found = sorted(
        other
        for other in path.parent.iterdir()
        if other.name.startswith(before + mark) and other.suffix.lower() in (".tif", ".tiff")
    )
    stems = {other.name.partition(".")[0] for other in found}
    for stem in stems:
        head, _, digits = stem.rpartition("_")
        if digits.isdecimal() and int(digits) > 0:
            previous = f"{head}_{int(digits) - 1}" if int(digits) > 1 else head
            if previous not in stems:
                raise MovieError(
                    f"is missing files: {previous}{path.name[len(path.name.partition('.')[0]) :]} is not there",
                    where=path,
                    hint=TOGETHER,
                )
    return [other for other in found if other != path]
