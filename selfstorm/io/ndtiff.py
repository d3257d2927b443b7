"""NDTiff data sets: a folder with an index and the TIFF files that hold the images, finished or still growing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from selfstorm.errors import MovieError
from selfstorm.frames import Array
from selfstorm.io import micromanager_tags
from selfstorm.io.axes import Selection, check_names, several
from selfstorm.io.ndtiff_index import NAME, Entry, IndexFaultError, read_entry
from selfstorm.io.pixel_size import plausible_nm
from selfstorm.io.reader import Stamp, check_field

PYRAMID = "Full resolution"  # the folder with the data where a data set has coarser copies, too
GLANCE_BYTES, BLOCK_BYTES = 4096, 2**17
AGAIN = "copy the data set again from where it came from"


def data_folder(folder: Path) -> Path | None:
    """Where the index of the data set in a folder is, None where the folder is no data set."""
    return next((place for place in (folder, folder / PYRAMID) if (place / NAME).is_file()), None)


class Index:
    """The index of a data set, read on as it grows. Raises MovieError for one that is damaged."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.count, self._at = 0, 0
        # Unbuffered, as all files here: a buffer would go on giving the zeros that were there before the entry.
        self._file: IO[bytes] = self.path.open("rb", buffering=0)

    def grown(self) -> Iterator[Entry]:
        """The entries that have become whole since the last time."""
        size = GLANCE_BYTES  # nothing new is what it sees most often
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
        except IndexFaultError as fault:
            raise MovieError(f"entry {self.count} is damaged: {fault}", where=self.path, hint=AGAIN) from None

    @property
    def rest(self) -> bytes:
        """What stands behind the last whole entry, a block of it: nothing in a finished data set."""
        self._file.seek(self._at)
        return self._file.read(BLOCK_BYTES)

    def close(self) -> None:
        self._file.close()


class Images:
    """The images in a data set, read without a buffer: it would hold the zeros from before an image was written."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._name = folder, ""
        self._file: IO[bytes] | None = None

    def size(self, name: str) -> int:
        """Bytes of a file now; 0 where it is not there."""
        path = self._folder / name
        return path.stat().st_size if path.is_file() else 0

    def pixels(self, entry: Entry) -> Array:
        """(H, W). Raises MovieError where the file ends before the image does."""
        data = self._read(entry, entry.pixels_at, entry.pixel_bytes)
        return np.frombuffer(data, np.dtype(entry.dtype).newbyteorder("<")).reshape(entry.height, entry.width)

    def tags(self, entry: Entry) -> dict[str, Any] | None:
        """The image's metadata, None where it is not written yet. It is written after the pixels."""
        data = self._read(entry, entry.metadata_at, entry.metadata_bytes)
        try:
            tags = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return tags if isinstance(tags, dict) else None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file, self._name = None, ""

    def _read(self, entry: Entry, at: int, count: int) -> bytearray:
        if entry.file != self._name or self._file is None:
            self.close()
            self._file, self._name = self._open(entry.file), entry.file
        self._file.seek(at)
        data, filled = bytearray(count), 0
        while filled < count and (read := self._file.readinto(memoryview(data)[filled:])):  # type: ignore[attr-defined]
            filled += read
        if filled < count:
            raise MovieError(
                f"is truncated: an image ends at byte {at + count}, the file at {at + filled}",
                where=self._folder / entry.file,
                hint=AGAIN,
            )
        return data

    def _open(self, name: str) -> IO[bytes]:
        path = self._folder / name
        try:
            return path.open("rb", buffering=0)
        except OSError as error:
            raise MovieError(f"cannot be read ({error.strerror})", where=path, hint=AGAIN) from None


class Chosen:
    """Which images of a data set are the movie: those at the selected places, on what is left one axis only.

    Made for one entry after the other, because of a growing data set nobody knows what is still to come.
    """

    def __init__(self, select: Selection, where: Path) -> None:
        self._select, self._where = select, where
        self._seen: dict[str, set[int | str]] = {}

    def admits(self, entry: Entry) -> bool:
        """Whether an image belongs to the movie. Raises MovieError where two axes are left."""
        check_names(list(entry.axes), self._select, self._where)
        if any(entry.axes[name] != at for name, at in self._select.items()):
            self._note({name: entry.axes[name] for name in self._select})
            return False
        left = {name: at for name, at in entry.axes.items() if name not in self._select}
        self._note(left)
        wide = [(name, self._named(name)) for name in left if len(self._seen[name]) > 1]
        if len(wide) > 1:
            raise several(wide, self._where)
        return True

    @property
    def places(self) -> str:
        """What was seen on the axes, for who selected a place that is not there."""
        return "; ".join(f"{name}: {self._named(name)}" for name in self._seen)

    def _note(self, axes: dict[str, int | str]) -> None:
        for name, at in axes.items():
            self._seen.setdefault(name, set()).add(at)

    def _named(self, name: str) -> str:
        places = sorted(self._seen[name], key=str)
        return ", ".join(map(str, places[:4])) + (", ..." if len(places) > 4 else "")


def image_stamp(tags: dict[str, Any], index: int, begin_unix_ms: float | None, select: Selection) -> Stamp:
    """Number and time of the image with these tags, the index-th of the movie."""
    stamp = micromanager_tags.stamp(tags, index, begin_unix_ms)
    # Of images taken in turns, those between were taken for another movie and are not lost.
    return Stamp(index, stamp.camera_ms) if select else stamp


class NDTiffReader:
    """A data set that is not written to any more; see Reader."""

    def __init__(self, folder: Path, select: Selection) -> None:
        self._folder = folder
        self.paths: tuple[Path, ...] = (folder,)
        self._images = Images(folder)
        index, chosen = Index(folder), Chosen(select, folder)
        try:
            self._entries = [entry for entry in index.grown() if chosen.admits(entry)]
            if index.rest.strip(b"\0"):
                raise MovieError(
                    f"ends in the middle of entry {index.count}",
                    where=index.path,
                    hint=f"{AGAIN}, or follow it with ndtiff: while it is written",
                )
            if not self._entries:
                hint = f"select one of {chosen.places}" if chosen.places else "give one with images"
                raise MovieError("holds no image that was asked for", where=folder, hint=hint)
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
        return self._images.pixels(self._entries[index])

    def stamp(self, index: int) -> Stamp:
        tags = self._images.tags(self._entries[index])
        if tags is None:
            raise MovieError(f"the metadata of image {index} is damaged", where=self._folder, hint=AGAIN)
        return image_stamp(tags, index, self._begin_unix_ms, self._select)

    def close(self) -> None:
        self._images.close()

    def _check_whole(self) -> None:
        first = self._entries[0]
        sizes = {name: self._images.size(name) for name in {entry.file for entry in self._entries}}
        for at, entry in enumerate(self._entries):
            if entry.end > sizes[entry.file]:
                raise MovieError(
                    f"is truncated: image {at} ends at byte {entry.end}, the file at {sizes[entry.file]}",
                    where=self._folder / entry.file,
                    hint=AGAIN,
                )
            if (entry.height, entry.width, entry.dtype) != (first.height, first.width, first.dtype):
                raise MovieError(
                    f"image {at} has another size than the first", where=self._folder, hint="select one size"
                )
