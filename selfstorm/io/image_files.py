"""Micro-Manager's separate image files.

A folder with one TIFF per image and metadata.txt.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import MovieError
from selfstorm.frames import Array
from selfstorm.io import micromanager_tags
from selfstorm.io.axes import AxisPosition, Selection, check_names, several_axes
from selfstorm.io.pixel_size import plausible_nm
from selfstorm.io.reader import AcquisitionInfo, Stamp, check_field
from selfstorm.io.tiff_open import COPY_AGAIN, as_movie_error, open_tiff
from selfstorm.io.tiff_pages import check_whole, kind_of, page_table

METADATA = "metadata.txt"
# Micro-Manager 2: img_channel000_position000_time000000000_z000.tif; 1.4: img_000000000_Default_000.tif
NAMES = (
    re.compile(r"img_channel(?P<channel>\d+)_position(?P<position>\d+)_time(?P<time>\d+)_z(?P<z>\d+)\.tiff?", re.I),
    re.compile(r"img_(?P<time>\d+)_(?P<channel>.*)_(?P<z>\d+)\.tiff?", re.I),
)
MAX_COMPRESSION = 100_000  # ratio


def image_files(folder: Path) -> dict[Path, dict[str, AxisPosition]]:
    """List the images in a folder by Micro-Manager's names.

    Returns their indices by path; {} where there are none.
    """
    found: dict[Path, dict[str, AxisPosition]] = {}
    for path in sorted(folder.iterdir()):
        match = next((match for name in NAMES if (match := name.fullmatch(path.name))), None)
        if match is not None:
            found[path] = {axis: int(at) if at.isdecimal() else at for axis, at in match.groupdict().items()}
    return found


class ImageFilesReader:
    """A movie of separate image files; see Reader.

    A time without a file is a lost frame.
    """

    def __init__(self, folder: Path, images: dict[Path, dict[str, AxisPosition]], select: Selection) -> None:
        self._folder, self.paths = folder, (*images, folder / METADATA)
        self.notes: tuple[str, ...] = ()
        axes = list(next(iter(images.values())))
        check_names(axes, select, folder)
        chosen = {path: at for path, at in images.items() if all(at[name] == place for name, place in select.items())}
        places = {name: sorted({at[name] for at in chosen.values()}, key=str) for name in axes}
        wide = [(name, len(places[name]), places[name][0]) for name in axes if len(places[name]) > 1]
        if len(wide) > 1:
            raise several_axes(sorted(wide, key=lambda axis: axis[0] != "time"), folder)
        if not wide:
            raise MovieError("is one image" if chosen else "holds no such image", where=folder, hint="give a movie")
        movie = wide[0][0]
        ordered = sorted(chosen, key=lambda path: (str(type(chosen[path][movie])), chosen[path][movie]))
        numbers = [chosen[path][movie] for path in ordered]
        self._numbers = [at if isinstance(at, int) else index for index, at in enumerate(numbers)]
        self._files, self.length = ordered, len(ordered)
        missing = self._numbers[-1] - self._numbers[0] + 1 - self.length
        if missing:
            self.notes = (f"{missing} {'frame is' if missing == 1 else 'frames are'} missing along {movie}",)
        first = self.pixels(0, checked=False)
        (self.height, self.width), self.dtype = first.shape, first.dtype
        check_field(folder, self.height, self.width, self.dtype)
        summary, self._tags = _metadata(folder / METADATA)
        tags = self._tags.get(ordered[0].name, {})
        self.pixel_nm = plausible_nm(micromanager_tags.pixel_nm(tags) or micromanager_tags.pixel_nm(summary))
        self.acquisition = micromanager_tags.acquisition(tags) if tags else AcquisitionInfo()
        self._begin_unix_ms = micromanager_tags.received_unix_ms(tags)

    def pixels(self, index: int, *, checked: bool = True) -> Array:
        """Read (H, W) of one frame, as stored."""
        path = self._files[index]
        with open_tiff(path) as file, as_movie_error(path):
            pages = page_table(file)
            kind = kind_of(pages[0])
            if kind.colour or kind.planes != 1:
                raise MovieError("is no grey image", where=path, hint="give the camera's own grey values")
            check_whole(pages[:1], MAX_COMPRESSION, COPY_AGAIN)
            pixels = np.asarray(pages[0].asarray())
        if checked and (pixels.shape, pixels.dtype) != ((self.height, self.width), self.dtype):
            raise MovieError(
                f"has pixels of {pixels.shape} {pixels.dtype}, not {(self.height, self.width)} {self.dtype}",
                where=path,
                hint="move images of another size to a folder of their own",
            )
        return pixels

    def stamp(self, index: int) -> Stamp:
        """Read number and time of one frame."""
        tags = self._tags.get(self._files[index].name, {})
        camera_ms = micromanager_tags.stamp(tags, index, self._begin_unix_ms).camera_ms
        return Stamp(self._numbers[index], camera_ms)

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _metadata(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read the summary, and the tags of each file by its name.

    Both are {} where there are none.
    """
    if not path.is_file():
        return {}, {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace").rstrip().rstrip(",")
    except OSError:
        return {}, {}
    found: Any = {}
    for ending in ("", "}"):  # a run that was stopped leaves the last bracket out
        try:
            found = json.loads(text + ending)
            break
        except (ValueError, RecursionError):
            continue
    if not isinstance(found, dict):
        return {}, {}
    summary = found.get("Summary")
    tags = {
        key.rpartition("/")[2].removeprefix("Metadata-"): value
        for key, value in found.items()
        if key.startswith("Metadata-") and isinstance(value, dict)
    }
    return (summary if isinstance(summary, dict) else {}), tags
