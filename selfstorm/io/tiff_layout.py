"""Layout of a TIFF: the position of each page on the recording's axes.

The kind of file decides where the positions are read:

OME-TIFF, also in several files or with a companion     by its XML
Micro-Manager's stacks, in one file or several          by their index maps
ImageJ's hyperstacks, tifffile's shaped files           by the first description
everything else                                         all pages of the usual kind, along time
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tifffile

from selfstorm.errors import MovieError
from selfstorm.io import micromanager_tags, ome_xml
from selfstorm.io.tiff_open import open_tiff
from selfstorm.io.tiff_pages import LeftOut, kind_of, left_out, page_table, usual_kind

Index = tuple[int, ...]
TOGETHER = "keep the files of a stack together in one folder"


@dataclass(slots=True)
class Layout:
    """Pages by their position on the axes (name, size).

    A position without a page is a frame that was lost.
    """

    axes: list[tuple[str, int]]
    pages: dict[Index, Any]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    image: ome_xml.OmeImage | None = None
    paths: tuple[Path, ...] = ()


def layout_of(file: tifffile.TiffFile, path: Path) -> Layout:
    """Find the layout of an open TIFF. Raises MovieError where there is none."""
    table = page_table(file)
    if not table:
        raise MovieError("holds no image", where=path, hint="give a TIFF stack of camera frames")
    if (index_map := _index_map(file)) is not None:
        return _micromanager(file, path, table, index_map)
    if (root := _ome_root(file, path)) is not None:
        return _ome(file, path, table, root)
    return _by_tags(file, path, table) or _chain(file, path, table)


def _chain(file: tifffile.TiffFile, path: Path, table: list[Any]) -> Layout:
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
        stated = {name: _count(file.imagej_metadata.get(name)) for name in ("frames", "slices", "channels", "images")}
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


def _count(value: Any) -> int:
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
        count = _count(int(file.stk_metadata["NumberPlanes"])) if file.stk_metadata else 1
    if count < 2 or not page.is_contiguous:
        return []
    return [RawPage(page, page.dataoffsets[0] + index * page.nbytes) for index in range(count)]


def _ome_root(file: tifffile.TiffFile, path: Path) -> Any:
    """Return the root of the OME-XML, None without.

    It is the companion file's where the TIFF points to one.
    """
    first = file.pages.first
    if not first.is_ome:
        return None
    root = ome_xml.parse(first.description, path)
    master = ome_xml.master_file(root)
    if master is None:
        return root
    companion = path.parent / Path(master.replace("\\", "/")).name
    try:
        text = companion.read_text(encoding="utf-8") if companion.suffix == ".ome" else _description(companion)
    except (OSError, ValueError) as error:
        raise MovieError(
            f"has its metadata in {companion.name}, which cannot be read ({error})", where=path, hint=TOGETHER
        ) from None
    return ome_xml.parse(text, companion)


def _description(path: Path) -> str:
    with open_tiff(path) as file:
        return str(file.pages.first.description)


def _ome(file: tifffile.TiffFile, path: Path, table: list[Any], root: Any) -> Layout:
    """Lay out the planes of the images that are alike; the first decides."""
    images = ome_xml.images(root, path)
    if not images:
        return _chain(file, path, table)
    main = max(images, key=lambda image: (not image.colour, len(image.planes)))
    alike = [one for one in images if (one.axes, one.height, one.width) == (main.axes, main.height, main.width)]
    files = _Files(path, table)
    axes = [("position", len(alike)), *main.axes]
    pages: dict[Index, Any] = {}
    for position, image in enumerate(alike):
        for place, (name, directory) in image.planes.items():
            page = files.page(name, directory)
            if page is not None:
                pages[(position, *place)] = page
    used = {id(page) for page in pages.values()}
    spare = [index for index, page in enumerate(table) if id(page) not in used]
    notes, named = [], []
    if spare and not used.isdisjoint(id(page) for page in table) and _only_time(axes) and len(images) == 1:
        length = axes[1][1]
        notes.append(f"{path.name}: its metadata name {length} of {length + len(spare)} pages: all are read")
        axes[1] = ("time", length + len(spare))
        pages |= {(0, length + at, 0, 0): table[index] for at, index in enumerate(spare)}
    elif spare and used:
        named.append(LeftOut(path.name, tuple(spare), "the metadata do not say where they belong"))
    elif not used:
        return _chain(file, path, table)
    lost = math.prod(size for _, size in axes) - len(pages)
    if lost:
        notes.append(f"{path.name}: {lost} of the planes in its metadata are not there")
    _keep_usual(pages, named, files.number)
    return Layout(axes, pages, named, notes, main, files.paths)


def _only_time(axes: Sequence[tuple[str, int]]) -> bool:
    return all(size == 1 or name == "time" for name, size in axes)


def _keep_usual(pages: dict[Index, Any], named: list[LeftOut], number: Mapping[int, tuple[str, int]]) -> None:
    """Leave out the pages of another kind than most, by name."""
    if not pages:
        return
    kinds = {place: kind_of(page) for place, page in pages.items()}
    usual = usual_kind(list(kinds.values()))
    others: dict[str, list[Index]] = {}
    for place, kind in kinds.items():
        if kind != usual:
            others.setdefault(number[id(pages[place])][0], []).append(place)
    for file, places in others.items():
        named += left_out(file, [number[id(pages[p])][1] for p in places], [kinds[p] for p in places], usual)
        for place in places:
            del pages[place]


class _Files:
    """The files of a data set, their pages looked up by name.

    Each is opened once and closed again.
    """

    def __init__(self, path: Path, table: list[Any]) -> None:
        self._path = path
        self._tables: dict[str, list[Any]] = {"": table, path.name: table}
        self.number = {id(page): (path.name, index) for index, page in enumerate(table)}

    def page(self, name: str, directory: int) -> Any:
        """Return a page; None where its file has fewer.

        Raises MovieError where the file is missing.
        """
        name = Path(name.replace("\\", "/")).name
        if name not in self._tables:
            self._tables[name] = self._read(self._path.parent / name)
        table = self._tables[name]
        return table[directory] if 0 <= directory < len(table) else None

    def _read(self, path: Path) -> list[Any]:
        if not path.is_file():
            raise MovieError(f"is missing files: {path.name} is not there", where=self._path, hint=TOGETHER)
        with open_tiff(path) as file:
            table = page_table(file)
        self.number |= {id(page): (path.name, index) for index, page in enumerate(table)}
        return table

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that were read."""
        return tuple(self._path.parent / name for name in self._tables if name)


def _index_map(file: tifffile.TiffFile) -> Any:
    """Return Micro-Manager's summary and index map; None without."""
    if not file.is_micromanager and not file.is_mmstack:
        return None
    stated = file.micromanager_metadata or {}
    if "IndexMap" not in stated or "Summary" not in stated or stated.get("MajorVersion", 1) != 0:
        return None
    return stated


def _micromanager(file: tifffile.TiffFile, path: Path, table: list[Any], stated: Any) -> Layout:
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
    promised = math.prod(_count(summary.get(key)) for _, key in order)
    if promised > len(places):
        for other in _other_files(path):
            with open_tiff(other) as opened:
                more = _index_map(opened)
                if more is not None:
                    add(other.name, page_table(opened), more["IndexMap"])
                    paths.append(other)
    if not places:
        return _chain(file, path, table)
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
    _keep_usual(pages, named, number)
    return Layout(axes, pages, named, notes, paths=tuple(paths))


TAG = "MicroManagerMetadata"
TAG_AXES = (
    ("position", ("PositionIndex",)),
    ("time", ("FrameIndex", "Frame")),
    ("z", ("SliceIndex", "Slice")),
    ("channel", ("ChannelIndex",)),
)


def _by_tags(file: tifffile.TiffFile, path: Path, table: list[Any]) -> Layout | None:
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
    _keep_usual(pages, named, number)
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
