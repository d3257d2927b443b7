"""Choice of a data set: the folder itself, or the newest one in it."""

from __future__ import annotations

from pathlib import Path

from daemon.sources.camera import CameraError
from daemon.sources.growing import GrowingDataSet
from selfstorm.errors import InputError
from selfstorm.io.ndtiff import data_folder
from selfstorm.io.ndtiff_index import NAME


class DataSets:
    """Data sets of a folder.

    Args:
        place: a data set, or a folder of data sets.
        also_finished: include the data sets that were finished before; they belong to earlier acquisitions.
    """

    def __init__(self, place: Path, *, also_finished: bool) -> None:
        self._place = place
        newest = None if also_finished else self._newest_of(set())
        over = newest is not None and newest not in self._itself() and _is_finished(newest)
        self._over = set(self._all()) if over else set()

    @property
    def awaited(self) -> str:
        """Description of the data set that is waited for."""
        if not self._place.is_dir():
            return f"for the folder {self._place} to appear"
        return f"for an acquisition to be saved in {self._place} (as NDTiff)"

    def newest(self) -> Path | None:
        """Return the newest folder with data; None while there is none.

        Raises:
            CameraError: the folder cannot be read now.
        """
        try:
            return self._newest_of(self._over)
        except InputError as error:  # it could be read at the start, and may be again
            raise CameraError(str(error)) from None

    def _newest_of(self, over: set[Path]) -> Path | None:
        found = [*self._itself(), *(folder for folder in self._all() if folder not in over)]
        return max(found, key=_alive_ns, default=None)

    def _itself(self) -> list[Path]:
        data = data_folder(self._place)
        return [] if data is None else [data]

    def _all(self) -> list[Path]:
        if self._itself() or not self._place.is_dir():
            return []
        try:
            inside = [data_folder(path) for path in self._place.iterdir() if path.is_dir()]
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", where=self._place) from None
        return [data for data in inside if data is not None]


def _alive_ns(folder: Path) -> tuple[int, str]:
    """Return the time of the last change of a data set's index.

    On Windows an open file shows its creation only. Ties are broken by name.
    """
    try:
        index = (folder / NAME).stat()
        return max(index.st_mtime_ns, index.st_ctime_ns), folder.name
    except FileNotFoundError:  # removed just now
        return 0, folder.name


def _is_finished(folder: Path) -> bool:
    with GrowingDataSet(folder, {}) as data_set:
        data_set.skip()
        return data_set.complete()
