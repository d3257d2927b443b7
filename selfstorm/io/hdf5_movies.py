"""Movies in HDF5: a data set of three axes (time, y, x)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import MovieError, first_line
from selfstorm.frames import Array
from selfstorm.io.axes import Selection, movie_axis
from selfstorm.io.reader import AcquisitionInfo, Stamp, check_field

SUFFIXES = (".h5", ".hdf5")
DATASET = "dataset"  # of a selection
MAX_LISTED = 8
HINT = 'pip install "selfstorm[engine]"'


def holds_movie(path: Path) -> bool:
    """Tell whether a file is HDF5 with a data set of three axes."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        import h5py

        with h5py.File(path, "r") as file:
            return bool(_movies(h5py, file))
    except (ImportError, OSError):
        return False


def _movies(h5py: Any, file: Any) -> dict[str, Any]:
    """Find the data sets that can be a movie, by their names."""
    found: dict[str, Any] = {}

    def visit(place: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 3 and item.dtype.kind in "uif":
            found[f"/{place}"] = item

    file.visititems(visit)
    return found


class Hdf5Reader:
    """A movie in HDF5; see Reader.

    The selection names the data set where the file has several, as in dataset=/entry/camera.
    """

    def __init__(self, path: Path, select: Selection) -> None:
        try:
            import h5py
        except ImportError:
            raise MovieError("needs h5py", where=path, hint=HINT) from None
        if not path.is_file():
            raise MovieError("no such file", where=path, hint="check the path")
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise MovieError(
                f"cannot be read ({first_line(error)})", where=path, hint="copy it again, or save it as TIFF"
            ) from None
        self._path = path
        try:
            self._frames = self._dataset(h5py, str(select.get(DATASET, "")))
            self.length, self.height, self.width = self._frames.shape
            self.dtype: np.dtype[Any] = self._frames.dtype
            check_field(path, self.height, self.width, self.dtype)
            movie_axis([("time", self.length)], {k: v for k, v in select.items() if k != DATASET}, path)
        except BaseException:
            self._file.close()
            raise
        self.pixel_nm: float | None = None
        self.paths: tuple[Path, ...] = (path,)
        self.notes: tuple[str, ...] = ()
        self.acquisition = AcquisitionInfo()

    def _dataset(self, h5py: Any, name: str) -> Any:
        """Find the data set of a name, or the only one that can be a movie."""
        found = _movies(h5py, self._file)
        names = ", ".join(list(found)[:MAX_LISTED]) or "none"
        if name:
            wanted = f"/{name.strip('/')}"
            if wanted not in found:
                raise MovieError(f"has no movie {wanted}", where=self._path, hint=f"it has {names}")
            return found[wanted]
        if len(found) != 1:
            raise MovieError(
                f"holds {len(found)} data sets of three axes" if found else "holds no data set of three axes (T, Y, X)",
                where=self._path,
                hint=f"choose one with --select {DATASET}=NAME: {names}" if found else "give a movie",
            )
        return next(iter(found.values()))

    def pixels(self, index: int) -> Array:
        """Read (H, W) of one frame, as stored."""
        try:
            return np.asarray(self._frames[index])
        except (OSError, RuntimeError) as error:
            raise MovieError(
                f"is damaged: frame {index} cannot be read ({first_line(error)})",
                where=self._path,
                hint="copy it again",
            ) from None

    def stamp(self, index: int) -> Stamp:
        """Return a frame's index; no times are stated."""
        return Stamp(index)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
