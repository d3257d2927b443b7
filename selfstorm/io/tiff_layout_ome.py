"""Layout of an OME-TIFF by its XML, also in several files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tifffile

from selfstorm.errors import MovieError
from selfstorm.io import ome_xml
from selfstorm.io.left_out_pages import Index, LeftOut, keep_usual
from selfstorm.io.page_layout import TOGETHER, Layout
from selfstorm.io.regular_file import read_regular
from selfstorm.io.tiff_layout_chain import lay_out_chain
from selfstorm.io.tiff_open import open_tiff
from selfstorm.io.tiff_pages import page_table


def ome_root(file: tifffile.TiffFile, path: Path) -> Any:
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
        text = _companion(companion) if companion.suffix == ".ome" else _description(companion)
    except (OSError, ValueError) as error:
        raise MovieError(
            f"has its metadata in {companion.name}, which cannot be read ({error})", where=path, hint=TOGETHER
        ) from None
    return ome_xml.parse(text, companion)


def _companion(path: Path) -> str:
    return read_regular(path, TOGETHER).decode("utf-8")


def _description(path: Path) -> str:
    with open_tiff(path) as file:
        return str(file.pages.first.description)


def lay_out_ome(file: tifffile.TiffFile, path: Path, table: list[Any], root: Any) -> Layout:
    """Lay out the planes of the images that are alike; the first decides."""
    images = ome_xml.images(root, path)
    if not images:
        return lay_out_chain(file, path, table)
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
        length, named_here = axes[1][1], len(table) - len(spare)
        notes.append(f"{path.name}: its metadata name {named_here} of {len(table)} pages: all are read")
        axes[1] = ("time", length + len(spare))
        pages |= {(0, length + at, 0, 0): table[index] for at, index in enumerate(spare)}
    elif spare and used:
        named.append(LeftOut(path.name, tuple(spare), "the metadata do not say where they belong"))
    elif not used:
        return lay_out_chain(file, path, table)
    lost = math.prod(size for _, size in axes) - len(pages)
    if lost:
        notes.append(f"{path.name}: {lost} of the planes in its metadata are not there")
    keep_usual(pages, named, files.number)
    return Layout(axes, pages, named, notes, main, files.paths)


def _only_time(axes: Sequence[tuple[str, int]]) -> bool:
    return all(size == 1 or name == "time" for name, size in axes)


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
