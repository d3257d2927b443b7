"""NDTiff data sets, finished or growing.

A folder with an index and the TIFF files of the images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from selfstorm.errors import MovieError
from selfstorm.frames import Array
from selfstorm.io import micromanager_tags
from selfstorm.io.axes import AxisPosition, Selection, check_names, several_axes
from selfstorm.io.left_out_pages import ranges
from selfstorm.io.ndtiff_index import NAME, Entry, IndexFaultError, UnsupportedImageError, read_entry
from selfstorm.io.pixel_size import plausible_nm
from selfstorm.io.reader import Stamp, check_field

PYRAMID = "Full resolution"  # the folder of the data where a data set has coarser copies too
GLANCE_BYTES, BLOCK_BYTES = 4096, 2**17
COPY_AGAIN = "copy the data set again from where it came from"


def data_folder(folder: Path) -> Path | None:
    """Find the folder with the index of a data set, None where there is none."""
    return next((place for place in (folder, folder / PYRAMID) if (place / NAME).is_file()), None)


class Index:
    """The index of a data set, read as it grows.

    Raises MovieError where it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.count, self._at = 0, 0
        # Unbuffered, as all files here: a buffer would keep the zeros from before the entry was written.
        self._file: IO[bytes] = self.path.open("rb", buffering=0)

    def grown(self) -> Iterator[Entry]:
        """Yield the entries that were completed since the last call."""
        size = GLANCE_BYTES  # mostly there is nothing new
        while True:
            self._file.seek(self._at)
            data, at = self._file.read(size), 0
            while (found := self._entry(data, at)) is not None:
                entry, behind = found
                self.count, self._at, at = self.count + 1, self._at + behind - at, behind
                yield entry
            if not at and (size == BLOCK_BYTES or not data.strip(b"\0")):
                return
            size = BLOCK_BYTES

    def _entry(self, data: bytes, at: int) -> tuple[Entry, int] | None:
        try:
            return read_entry(data, at)
        except UnsupportedImageError as fault:
            raise MovieError(
                f"image {self.count} is no camera frame: {fault}",
                where=self.path,
                hint="save grey values, uncompressed",
            ) from None
        except IndexFaultError as fault:
            raise MovieError(f"entry {self.count} is damaged: {fault}", where=self.path, hint=COPY_AGAIN) from None

    @property
    def rest(self) -> bytes:
        """Up to a block of bytes behind the last complete entry.

        None in a finished data set.
        """
        self._file.seek(self._at)
        return self._file.read(BLOCK_BYTES)

    def close(self) -> None:
        """Close the index."""
        self._file.close()


class Images:
    """Images of a data set, read unbuffered as the index is."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._name = folder, ""
        self._file: IO[bytes] | None = None

    def size(self, name: str) -> int:
        """Return the present size of a file in bytes, 0 where it is missing."""
        path = self._folder / name
        return path.stat().st_size if path.is_file() else 0

    def pixels(self, entry: Entry) -> Array:
        """Read an image, (H, W).

        Raises:
            MovieError: the file ends before the image does.
        """
        data = self._read(entry, entry.pixels_at, entry.pixel_bytes)
        return np.frombuffer(data, np.dtype(entry.dtype).newbyteorder("<")).reshape(entry.height, entry.width)

    def tags(self, entry: Entry) -> dict[str, Any] | None:
        """Read an image's metadata.

        Returns None where it is not written yet: it follows the pixels.
        """
        data = self._read(entry, entry.metadata_at, entry.metadata_bytes)
        try:
            tags = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return tags if isinstance(tags, dict) else None

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            self._file.close()
            self._file, self._name = None, ""

    def _read(self, entry: Entry, at: int, count: int) -> bytearray:
        if entry.file != self._name or self._file is None:
            self.close()
            self._file, self._name = (self._folder / entry.file).open("rb", buffering=0), entry.file
        self._file.seek(at)
        data, filled = bytearray(count), 0
        while filled < count and (read := self._file.readinto(memoryview(data)[filled:])):  # type: ignore[attr-defined]
            filled += read
        if filled < count:
            raise MovieError(
                f"is truncated: an image ends at byte {at + count}, the file at {at + filled}",
                where=self._folder / entry.file,
                hint=COPY_AGAIN,
            )
        return data


class ImageSelector:
    """Choice of the images that are the movie.

    Those at the selected indices, along one remaining axis.
    It decides entry by entry, because the rest of a growing data set is unknown.
    """

    def __init__(self, select: Selection, where: Path) -> None:
        self._select, self._where = select, where
        self._seen: dict[str, set[int | str]] = {}

    def admits(self, entry: Entry) -> bool:
        """Tell whether an image belongs to the movie.

        Raises MovieError where two axes are left.
        """
        check_names(list(entry.axes), self._select, self._where)
        if any(entry.axes[name] != at for name, at in self._select.items()):
            self._note({name: entry.axes[name] for name in self._select})
            return False
        left = {name: at for name, at in entry.axes.items() if name not in self._select}
        self._note(left)
        wide = [(name, *self._positions(name)) for name in left if len(self._seen[name]) > 1]
        if len(wide) > 1:
            raise several_axes(wide, self._where)
        return True

    @property
    def places(self) -> str:
        """Describe the indices on each axis, for a selection that is not there."""
        return "; ".join(f"{name}: {self._positions(name)[0]}" for name in self._seen)

    @property
    def movie_axis(self) -> str:
        """Name of the axis that is the movie, empty where there is one image."""
        return next((name for name, at in self._seen.items() if len(at) > 1 and name not in self._select), "")

    def _note(self, axes: dict[str, int | str]) -> None:
        for name, at in axes.items():
            self._seen.setdefault(name, set()).add(at)

    def _positions(self, name: str) -> tuple[str, AxisPosition]:
        """Return the positions seen along an axis in words, and the first."""
        places = sorted(self._seen[name], key=str)
        return ", ".join(map(str, places[:4])) + (", ..." if len(places) > 4 else ""), places[0]


def image_stamp(tags: dict[str, Any], index: int, begin_unix_ms: float | None, select: Selection) -> Stamp:
    """Read number and time of an image; index: its position in the movie."""
    stamp = micromanager_tags.stamp(tags, index, begin_unix_ms)
    # Among interleaved images, those in between belong to another movie and are not lost.
    return Stamp(index, stamp.camera_ms) if select else stamp


class NDTiffReader:
    """A finished data set; see Reader.

    Places on its time axis without an image are lost frames.
    """

    def __init__(self, folder: Path, select: Selection) -> None:
        self._folder = folder
        self.paths: tuple[Path, ...] = (folder,)
        self.notes: tuple[str, ...] = ()
        self._images = Images(folder)
        index, selector = Index(folder), ImageSelector(select, folder)
        try:
            self._entries = [entry for entry in index.grown() if selector.admits(entry)]
            if index.rest.strip(b"\0"):
                raise MovieError(
                    f"ends in the middle of entry {index.count}",
                    where=index.path,
                    hint=f"{COPY_AGAIN}, or follow it with ndtiff: while it is being written",
                )
            if not self._entries:
                hint = f"select one of {selector.places}" if selector.places else "give one with images"
                raise MovieError("holds no image that was selected", where=folder, hint=hint)
            self._keep_usual()
            self._order(selector.movie_axis)
            self._check_whole()
            first = self._entries[0]
            self.length, self.height, self.width = len(self._entries), first.height, first.width
            self.dtype = np.dtype(first.dtype)
            check_field(folder, self.height, self.width, self.dtype)
            tags = self._images.tags(first) or {}
        except BaseException:
            self.close()
            raise
        finally:
            index.close()
        self.pixel_nm = plausible_nm(micromanager_tags.pixel_nm(tags))
        self.acquisition = micromanager_tags.acquisition(tags)
        self._begin_unix_ms = micromanager_tags.received_unix_ms(tags)
        self._select = select

    def pixels(self, index: int) -> Array:
        """Read (H, W) of one frame, as stored."""
        with self._readable():
            return self._images.pixels(self._entries[index])

    def stamp(self, index: int) -> Stamp:
        """Read number and time of one frame."""
        with self._readable():
            tags = self._images.tags(self._entries[index])
        if tags is None:
            raise MovieError(f"the metadata of image {index} is damaged", where=self._folder, hint=COPY_AGAIN)
        stamp = image_stamp(tags, index, self._begin_unix_ms, self._select)
        return Stamp(self._numbers[index], stamp.camera_ms) if self._numbers else stamp

    def close(self) -> None:
        """Close all files."""
        self._images.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Raise MovieError where the drive does not give what it gave before."""
        try:
            yield
        except OSError as error:
            why = f"cannot be read ({error.strerror or error})"
            raise MovieError(why, where=self._folder, hint=COPY_AGAIN) from None

    def _keep_usual(self) -> None:
        """Leave out the images of another size or type than most, by number."""
        kinds = [(entry.height, entry.width, entry.dtype) for entry in self._entries]
        usual = max(dict.fromkeys(kinds), key=kinds.count)
        others: dict[tuple[int, int, str], list[int]] = {}
        for at, kind in enumerate(kinds):
            if kind != usual:
                others.setdefault(kind, []).append(at)
        for (height, width, dtype), numbers in others.items():
            why = f"{height} x {width} {dtype}, not {usual[0]} x {usual[1]} {usual[2]}"
            self.notes += (f"images {ranges(numbers)} left out: {why}",)
        self._entries = [entry for entry, kind in zip(self._entries, kinds, strict=True) if kind == usual]

    def _order(self, axis: str) -> None:
        """Sort the images along the movie's axis.

        They are numbered by it where images are missing.
        """
        at = [entry.axes.get(axis) for entry in self._entries]
        numbers = [place for place in at if isinstance(place, int)]
        self._numbers: list[int] = []
        if not axis or len(numbers) < len(at):
            return
        latest = dict(zip(numbers, self._entries, strict=True))  # an image that was saved again replaces the first
        if repeated := len(numbers) - len(latest):
            self.notes += (f"saved twice: {repeated} image{'s' * (repeated > 1)}; the later ones are read",)
        ordered = sorted(latest)
        self._entries = [latest[number] for number in ordered]
        missing = ordered[-1] - ordered[0] + 1 - len(ordered)
        if missing:
            self._numbers = ordered
            self.notes += (f"{missing} {'frame is' if missing == 1 else 'frames are'} missing along {axis}",)

    def _check_whole(self) -> None:
        sizes = {name: self._images.size(name) for name in {entry.file for entry in self._entries}}
        for at, entry in enumerate(self._entries):
            if entry.end > sizes[entry.file]:
                raise MovieError(
                    f"is truncated: image {at} ends at byte {entry.end}, the file at {sizes[entry.file]}",
                    where=self._folder / entry.file,
                    hint=COPY_AGAIN,
                )
