"""Search of a folder for recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from selfstorm.io import ome_zarr
from selfstorm.io.atomic_files import PART
from selfstorm.io.camera_raw import is_camera_raw
from selfstorm.io.hdf5_movies import holds_movie
from selfstorm.io.image_files import image_files
from selfstorm.io.movies import TIFF_SUFFIXES, continues_another
from selfstorm.io.ndtiff import data_folder
from selfstorm.io.ome_sets import first_of_sets
from selfstorm.io.ome_tiff import read_records
from selfstorm.io.vendor import is_vendor


def _is_movie(path: Path) -> bool:
    """Tell whether a file is a movie by its ending.

    HDF5 is opened: tables have that ending, too.
    """
    return is_vendor(path) or is_camera_raw(path) or holds_movie(path)


def find_movies(folder: Path) -> Iterator[Path]:
    """Yield the recordings in a folder and its subfolders, in order.

    Pictures of selfstorm are none.
    """
    if (
        data_folder(folder) is not None
        or any((folder / mark).is_file() for mark in ome_zarr.MARKS)
        or len(image_files(folder)) > 1
    ):
        yield folder
        return
    inside = sorted(path for path in folder.iterdir() if path.suffix != PART)
    yield from (path for path in inside if path.is_file() and _is_movie(path))
    stacks = [path for path in inside if path.is_file() and path.suffix.lower() in TIFF_SUFFIXES]
    first = [path for path in stacks if not continues_another(path, stacks) and not read_records(path)]
    yield from first_of_sets(first)
    for path in inside:
        if path.is_dir() and not path.is_symlink():
            yield from find_movies(path)
