"""Save a window as 32-bit OME-TIFF, or all in memory as a movie.

A movie is an OME-TIFF with the values, or MP4 or GIF as drawn.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Protocol

import numpy as np
from PySide6 import QtCore

from client.export.drawn_movie import DRAWN_ENDINGS, Drawing, DrawnMovie
from client.picture.pictures import Picture, PicturePair
from client.timeline.playhead import TimeMark
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import OmeTiffWriter


def save_data(path: Path, pair: PicturePair) -> tuple[Path, ...]:
    """Save the super-resolved picture, and beside it the raw mean.

    Returns:
        The files written.

    Raises:
        InputError: A file cannot be written.
    """
    stem, dot, suffix = path.name.partition(".")
    files = [(path, pair.sr)]
    if pair.raw is not None:
        files.append((path.with_name(f"{stem}-raw{dot}{suffix}"), pair.raw))
    for file, picture in files:
        save_picture(file, picture, overwrite=file == path)  # the dialog asked about that one
    return tuple(file for file, _ in files)


def save_picture(path: Path, picture: Picture, *, overwrite: bool = False) -> None:
    """Save one picture with its metadata.

    Raises:
        InputError: The file cannot be written.
    """
    try:
        with OmeTiffWriter(path, picture.header.pixel_nm, overwrite=overwrite) as writer:
            _add(writer, picture, marked=False)
    except OSError as error:
        raise _not_written(path, error) from None


class MovieWriter(Protocol):
    """A file of all windows in memory."""

    def fit(self, pair: PicturePair) -> None:
        """See a picture; all are seen before the first is added."""

    def add(self, pair: PicturePair, *, marked: bool) -> None:
        """Append the picture of a window."""

    def close(self) -> None:
        """Finish the file under its name."""

    def abandon(self) -> None:
        """Remove the unfinished file."""


class DataMovie:
    """An OME-TIFF of the pictures' values and headers."""

    def __init__(self, path: Path, first: PicturePair) -> None:
        self._writer = OmeTiffWriter(path, first.sr.header.pixel_nm, overwrite=True)  # the dialog asked
        self.close, self.abandon = self._writer.close, self._writer.abandon

    def fit(self, pair: PicturePair) -> None:
        """Do nothing: values are saved as they are."""

    def add(self, pair: PicturePair, *, marked: bool) -> None:
        """Append the picture of a window."""
        _add(self._writer, pair.sr, marked=marked)


class MovieExport(QtCore.QObject):
    """Writes a movie in a thread, so that the window stays responsive.

    The ending of the path decides: an OME-TIFF has the values, GIF and MP4 the pictures as drawn. All pictures have the
    size of the newest.

    Signals:
        progressed: a sentence on what is done.
        ended: a sentence on the outcome.

    Raises:
        InputError: No such file can be begun.
    """

    progressed = QtCore.Signal(str)
    ended = QtCore.Signal(str)

    def __init__(
        self, path: Path, pairs: tuple[PicturePair, ...], marks: tuple[TimeMark, ...], drawing: Drawing
    ) -> None:
        super().__init__()
        shape = pairs[-1].sr.pixels.shape
        self._pairs = [pair for pair in pairs if pair.sr.pixels.shape == shape]
        self._other_sizes = len(pairs) - len(self._pairs)
        self._marked = {(mark.run, mark.window) for mark in marks}
        self._path = path
        film = path.suffix.lower() in DRAWN_ENDINGS
        self.writer: MovieWriter = DrawnMovie(path, drawing) if film else DataMovie(path, self._pairs[0])
        self.aborted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="movie", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def abort(self) -> None:
        """Stop and remove the unfinished file."""
        self.aborted.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            if not self._written():
                self._abandon()
                return
            self.writer.close()
        except (OSError, InputError) as error:
            self._abandon()
            self.ended.emit(f"{self._path.name} could not be saved: {error}")
            return
        others = f"; {self._other_sizes} of another size left out" if self._other_sizes else ""
        self.ended.emit(f"{len(self._pairs)} windows saved to {self._path.name}{others}")

    def _written(self) -> bool:
        """Write all windows; False where it was aborted."""
        for pair in self._pairs:
            if self.aborted.is_set():
                return False
            self.writer.fit(pair)
        for done, pair in enumerate(self._pairs, 1):
            if self.aborted.is_set():
                return False
            self.writer.add(pair, marked=pair.window in self._marked)
            self.progressed.emit(f"Saving window {done} of {len(self._pairs)} …")
        return True

    def _abandon(self) -> None:
        with contextlib.suppress(OSError):  # may fail too on a full disk
            self.writer.abandon()


def _add(writer: OmeTiffWriter, picture: Picture, *, marked: bool) -> None:
    record = picture.header.model_dump(mode="json", exclude={"shape", "dtype"})
    record |= {"preview": picture.preview, "marked": marked}
    writer.add(picture.pixels.astype(np.float32, copy=False), record)


def _not_written(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot be written ({error.strerror})", where=path, hint="choose another place")
