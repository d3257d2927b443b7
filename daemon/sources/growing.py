"""NDTiff data set that still grows.

Every image is given once it is whole, until the writer has finished.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from selfstorm.frames import Array
from selfstorm.io.axes import Selection
from selfstorm.io.micromanager_tags import received_unix_ms
from selfstorm.io.ndtiff import COPY_AGAIN, Images, ImageSelector, Index, image_stamp
from selfstorm.io.ndtiff_index import Entry
from selfstorm.io.reader import Stamp

EXTENDED_BYTES = 2**32  # a data file's size while it is written
SLACK_BYTES = 64  # what a writer leaves behind the last image; less than a page takes
LOOK_S, SETTLE_S, PATIENCE_S = 0.2, 1.0, 10.0


@dataclass(frozen=True, slots=True)
class Image:
    """One image with its metadata.

    Attributes:
        pixels: (H, W).
        tags: of Micro-Manager.
        stamp: its number and time.
        missing: places before it at which no image is, on the axis that is the movie.
    """

    pixels: Array
    tags: dict[str, Any]
    stamp: Stamp
    missing: int = 0


class GrowingDataSet:
    """The chosen images of a data set, in the order of saving.

    Args:
        folder: of the data set.
        select: position of the chosen images on axes other than time.

    Attributes:
        folder: of the data set.
        finished: its writer has closed it, and all of it was given.
        overdue: what has been awaited for long, as where a network drive shows it late; else empty.

    Raises:
        MovieError: by `images`, where the data set is damaged.
        OSError: by `images`, where it cannot be read now.
    """

    def __init__(self, folder: Path, select: Selection) -> None:
        self.folder, self.finished, self.overdue = folder, False, ""
        self._index, self._images = Index(folder), Images(folder)
        self._select, self._chosen = select, ImageSelector(select, folder)
        self._grown: Iterator[Entry] = iter(())
        self._files: set[str] = set()
        self._last: Entry | None = None
        self._awaited: Entry | None = None  # it is in the index, and not all of it in its file yet
        self._given = 0
        self._before: Entry | None = None  # the last image that was given
        self._between: list[Entry] = []  # images after it that are not chosen
        self._begin_unix_ms: float | None = None
        self._grew_s = self._look_due_s = time.monotonic()
        self._complete_since_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._index.close()
        self._images.close()

    @property
    def count(self) -> int:
        """Number of images in the index so far."""
        return self._index.count

    def images(self) -> Iterator[Image | None]:
        """Yield the images that have become whole since the last call.

        Images that are not chosen are None.
        """
        while (entry := self._awaited or self._entry()) is not None:
            self._awaited = None
            if not self._chosen.admits(entry):
                self._between.append(entry)
                yield None
                continue
            tags = self._images.tags(entry) if self._images.size(entry.file) >= entry.end else None
            if tags is None:  # metadata is written after the pixels: where it is whole, they are
                self._awaited = entry
                self._await(f"image {self.count - 1} is in the index and not in {entry.file}")
                return
            if not self._given:
                self._begin_unix_ms = received_unix_ms(tags)
            stamp = image_stamp(tags, self._given, self._begin_unix_ms, self._select)
            self._given, self.overdue = self._given + 1, ""
            missing = self._missing_before(entry)
            self._before, self._between = entry, []
            yield Image(self._images.pixels(entry), tags, stamp, missing)
        if time.monotonic() >= self._look_due_s:
            self._look_due_s = time.monotonic() + LOOK_S
            self._look_for_the_end()

    def complete(self) -> bool:
        """Return True if index and files look finished.

        They look as their writer leaves them, up to the last image read.
        """
        last = self._last
        if last is None or self._index.rest:
            return False
        another = any(path.name not in self._files for path in self.folder.glob("*.tif"))
        return not another and self._images.size(last.file) - last.end <= SLACK_BYTES

    def abandon(self) -> int:
        """Skip the images that were not given yet, and count those of the movie."""
        left = 0
        while (entry := self._awaited or self._entry()) is not None:
            self._awaited = None
            left += self._chosen.admits(entry)
        return left

    def skip(self) -> None:
        """Skip all images that are in the index so far."""
        while self._entry() is not None:
            pass

    def _missing_before(self, entry: Entry) -> int:
        axis = self._chosen.movie_axis
        if self._before is None or not axis:
            return 0
        before, place = self._before.axes.get(axis), entry.axes.get(axis)
        if not (isinstance(before, int) and isinstance(place, int)):
            return 0
        # A channel may skip places at which others have an image.
        others = {other.axes.get(axis) for other in self._between}
        return max(0, place - before - 1 - sum(isinstance(at, int) and before < at < place for at in others))

    def _entry(self) -> Entry | None:
        entry = next(self._grown, None)
        if entry is None:
            self._grown = self._index.grown()
            entry = next(self._grown, None)
        if entry is not None:
            self._last, self._grew_s, self.overdue = entry, time.monotonic(), ""
            self._files.add(entry.file)
        return entry

    def _look_for_the_end(self) -> None:
        """Set `finished` when the data set has looked complete for a while.

        Between two files it looks so for a moment.
        """
        now = time.monotonic()
        if not self.complete():
            self._complete_since_s = None
            written = self._last is None or self._images.size(self._last.file) == EXTENDED_BYTES
            if not written and self._index.rest.strip(b"\0"):
                self._await(f"its index ends in the middle of entry {self.count}")
        elif self._complete_since_s is None:
            self._complete_since_s = now
        else:
            self.finished = now - self._complete_since_s > SETTLE_S

    def _await(self, what: str) -> None:
        if time.monotonic() - self._grew_s > PATIENCE_S:
            self.overdue = f"{self.folder.name}: {what}; if it is complete, {COPY_AGAIN}"
