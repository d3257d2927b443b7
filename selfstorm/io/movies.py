"""Movies of camera frames on disk, whatever wrote them: one way to read them for the daemon and offline.

TIFF, OME-TIFF, ImageJ and Micro-Manager stacks     formats/tiff.py
NDTiff data sets                                    formats/ndtiff.py
OME-Zarr                                            formats/ome_zarr.py
the daemon's own recordings                         formats/recording.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from selfstorm.errors import MovieError
from selfstorm.frames import Array
from selfstorm.io import ndtiff_index, ome_zarr
from selfstorm.io.ndtiff import NDTiffReader, data_folder
from selfstorm.io.ome_zarr import OmeZarrReader
from selfstorm.io.reader import Reader, Stamp
from selfstorm.io.recording import INDEX, RecordingReader
from selfstorm.io.tiff import TiffReader

STACKS = ("*.ome.tif", "*.ome.tiff", "*.tif", "*.tiff")
CONTINUED = "_MMStack"
NO_SELECTION: Mapping[str, int | str] = {}


class MovieFile:
    """An open movie; frames are read one by one when they are asked for, or all at once.

    length: frames. height, width: camera pixels. dtype: numpy name. pixel_nm: None where the file does not say.
    acquisition: how it was taken, as far as the file says. paths: the files, or the folder, that are read. select: the
    place on each axis that is not the movie's.
    Raises MovieError, on opening, for everything that keeps the file from being read as (T, H, W).
    """

    def __init__(self, path: Path, select: Mapping[str, int | str] = NO_SELECTION) -> None:
        self.path = path
        try:
            self._reader = _reader(path, select)
        except OSError as error:
            why = f"cannot be read ({error.strerror or error})"
            raise MovieError(why, where=path, hint="check the name, the disk and the rights") from None
        self.length, self.height, self.width = self._reader.length, self._reader.height, self._reader.width
        stored = self._reader.dtype
        self.dtype = "float32" if stored == np.float64 else stored.newbyteorder("=").name
        self.pixel_nm, self.acquisition = self._reader.pixel_nm, self._reader.acquisition
        self.paths = self._reader.paths

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def frame(self, index: int) -> Array:
        """(H, W), read-only, ADU. Raises MovieError for one that is damaged."""
        pixels = self._reader.pixels(index).astype(self.dtype, copy=False)
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise MovieError(
                f"has values that are not numbers (NaN or infinite) in frame {index}",
                where=self.path,
                hint="give the camera's raw frames",
            )
        pixels.flags.writeable = False
        return pixels

    def frames(self) -> Array:
        """(T, H, W), ADU: the whole movie."""
        movie = np.empty((self.length, self.height, self.width), self.dtype)
        for index in range(self.length):
            movie[index] = self.frame(index)
        return movie

    def stamp(self, index: int) -> Stamp:
        """The camera's number and time of a frame; its place in the movie and no time where the file does not say."""
        return self._reader.stamp(index)


def _reader(path: Path, select: Mapping[str, int | str]) -> Reader:
    """The reader for what is there."""
    if path.name in (ndtiff_index.NAME, *ome_zarr.MARKS):
        path = path.parent
    if path.is_dir():
        return _folder_reader(path, select)
    if path.suffix == INDEX:
        path = path.with_suffix(".tif")
    if path.is_file() and path.with_suffix(INDEX).is_file():
        return RecordingReader([path])
    if path.is_file() and (path.parent / ndtiff_index.NAME).is_file():
        return NDTiffReader(path.parent, select)
    return TiffReader(path, select)


def _folder_reader(folder: Path, select: Mapping[str, int | str]) -> Reader:
    if (data := data_folder(folder)) is not None:
        return NDTiffReader(data, select)
    if any((folder / mark).is_file() for mark in ome_zarr.MARKS):
        return OmeZarrReader(folder, select)
    indexed = (index.with_suffix(".tif") for index in sorted(folder.glob(f"*{INDEX}")))
    if recorded := [path for path in indexed if path.is_file()]:
        return RecordingReader(recorded)
    stacks = sorted({path for pattern in STACKS for path in folder.glob(pattern)})
    first = [path for path in stacks if not _continues(path, stacks)]
    if len(first) == 1:
        return TiffReader(first[0], select)
    movies = [path.name for path in (first or sorted(folder.iterdir()))][:8]
    raise MovieError(
        f"is a folder with {len(first)} movies" if first else "is a folder without a movie",
        where=folder,
        hint=f"name what to read; it holds {', '.join(movies) or 'nothing'}",
    )


def _continues(path: Path, stacks: list[Path]) -> bool:
    """Whether a file goes on with another one: X_MMStack_Pos0_1.ome.tif with X_MMStack_Pos0.ome.tif."""
    stem, dot, rest = path.name.partition(".")
    before, _, number = stem.rpartition("_")
    return CONTINUED in stem and number.isdecimal() and path.with_name(before + dot + rest) in stacks
