"""Movies of camera frames on disk.

One interface to every format, for the daemon and offline.
TIFF, OME-TIFF, ImageJ and Micro-Manager stacks     io/tiff.py
Micro-Manager's separate image files                io/image_files.py
NDTiff data sets                                    io/ndtiff.py
OME-Zarr                                            io/ome_zarr.py
recordings of the daemon                            io/recording.py
ND2, CZI, LIF and others, by their own libraries    io/vendor.py
bare frames with a description beside them, SPE     io/camera_raw.py
a data set of three axes in HDF5                    io/hdf5_movies.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from selfstorm.errors import MovieError
from selfstorm.frames import Array, Region
from selfstorm.io import hdf5_movies, ndtiff_index, ome_zarr
from selfstorm.io.camera_raw import CameraRawReader, is_camera_raw
from selfstorm.io.hdf5_movies import Hdf5Reader
from selfstorm.io.image_files import ImageFilesReader, image_files
from selfstorm.io.ndtiff import NDTiffReader, data_folder
from selfstorm.io.ome_sets import COMPANION, first_named_in, first_of_sets
from selfstorm.io.ome_zarr import OmeZarrReader
from selfstorm.io.part_of_movie import PartOfMovie
from selfstorm.io.reader import Reader, Stamp
from selfstorm.io.recording import INDEX, RecordingReader
from selfstorm.io.regular_file import check_regular
from selfstorm.io.tiff import TiffReader
from selfstorm.io.vendor import VendorReader, is_vendor

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".tf2")
CONTINUED = "_MMStack"
MAX_LISTED = 8
NO_SELECTION: Mapping[str, int | str] = {}


class MovieFile:
    """An open movie; frames are read one by one, by windows, or all at once.

    length: frames. height, width: camera pixels. dtype: numpy name. pixel_nm: None where the file does not state it.
    acquisition: its settings, as far as stated. paths: the files, or the folder, that are read. notes: sentences on
    what in the file is not part of the movie.

    Args:
        path: a file, or a folder that is a data set or holds one movie.
        select: index on each axis that is not the movie's.
        frames: part of the frames; None: all.
        region: part of the field; None: all.

    Raises:
        MovieError: on opening, whatever prevents reading the file as (T, H, W).
    """

    def __init__(
        self,
        path: Path,
        select: Mapping[str, int | str] = NO_SELECTION,
        frames: slice | None = None,
        region: Region | None = None,
    ) -> None:
        self.path = path
        try:
            self._reader = _reader(path, select)
        except OSError as error:
            why = f"cannot be read ({error.strerror or error})"
            raise MovieError(why, where=path, hint="check the name, the disk and the permissions") from None
        if frames is not None or region is not None:
            whole = self._reader
            try:
                self._reader = PartOfMovie(whole, frames, region, path)
            except BaseException:
                whole.close()
                raise
        self.length, self.height, self.width = self._reader.length, self._reader.height, self._reader.width
        stored = self._reader.dtype
        self.dtype = "float32" if stored == np.float64 else stored.newbyteorder("=").name
        self.pixel_nm, self.acquisition = self._reader.pixel_nm, self._reader.acquisition
        self.paths, self.notes = self._reader.paths, self._reader.notes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames and sides, (T, H, W)."""
        return self.length, self.height, self.width

    def frame(self, index: int) -> Array:
        """Read (H, W), read-only, ADU. Raises MovieError for one that is damaged."""
        pixels = self._reader.pixels(index).astype(self.dtype, copy=False)
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise MovieError(
                f"has values that are not numbers (NaN or infinite) in frame {index}",
                where=self.path,
                hint="give the camera's raw frames",
            )
        pixels.flags.writeable = False
        return pixels

    def frames(self, first: int = 0, last: int | None = None) -> Array:
        """Read (T, H, W), ADU: the frames from first up to, but without, last."""
        chosen = range(self.length)[first:last]
        movie = np.empty((len(chosen), self.height, self.width), self.dtype)
        for place, index in enumerate(chosen):
            movie[place] = self.frame(index)
        return movie

    def stamp(self, index: int) -> Stamp:
        """Read the camera's number and time of a frame.

        It is the index, and no time, where the file states none.
        """
        return self._reader.stamp(index)


def _reader(path: Path, select: Mapping[str, int | str]) -> Reader:
    """Open the reader of a path's format."""
    if path.name in (ndtiff_index.NAME, *ome_zarr.MARKS):
        path = path.parent
    if path.is_dir():
        return _folder_reader(path, select)
    check_regular(path, "give a movie file, or a folder of one")
    if path.suffix == INDEX:
        path = path.with_suffix(".tif")
    if path.is_file() and path.with_suffix(INDEX).is_file():
        return RecordingReader([path])
    if path.is_file() and (path.parent / ndtiff_index.NAME).is_file():
        return NDTiffReader(path.parent, select)
    if path.name.endswith(COMPANION) and (named := first_named_in(path)) is not None:
        return TiffReader(named, select)
    if is_vendor(path):
        return VendorReader(path, select)
    if is_camera_raw(path):
        return CameraRawReader(path, select)
    if path.suffix.lower() in hdf5_movies.SUFFIXES:
        return Hdf5Reader(path, select)
    return TiffReader(path, select)


def _folder_reader(folder: Path, select: Mapping[str, int | str]) -> Reader:
    if (data := data_folder(folder)) is not None:
        return NDTiffReader(data, select)
    if any((folder / mark).is_file() for mark in ome_zarr.MARKS):
        return OmeZarrReader(folder, select)
    indexed = (index.with_suffix(".tif") for index in sorted(folder.glob(f"*{INDEX}")))
    if recorded := [path for path in indexed if path.is_file()]:
        return RecordingReader(recorded)
    if len(images := image_files(folder)) > 1:
        return ImageFilesReader(folder, images, select)
    stacks = sorted(path for path in folder.iterdir() if path.suffix.lower() in TIFF_SUFFIXES and path.is_file())
    first = first_of_sets([path for path in stacks if not continues_another(path, stacks)])
    if len(first) == 1:
        return TiffReader(first[0], select)
    movies = [path.name for path in (first or sorted(folder.iterdir()))][:MAX_LISTED]
    raise MovieError(
        f"is a folder with {len(first)} movies" if first else "is a folder without a movie",
        where=folder,
        hint=f"name what to read; it holds {', '.join(movies) or 'nothing'}",
    )


def continues_another(path: Path, stacks: list[Path]) -> bool:
    """Tell whether a file continues another.

    X_MMStack_Pos0_1.ome.tif continues X_MMStack_Pos0.ome.tif.
    """
    stem, dot, rest = path.name.partition(".")
    before, _, number = stem.rpartition("_")
    return CONTINUED in stem and number.isdecimal() and path.with_name(before + dot + rest) in stacks
