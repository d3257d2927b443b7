"""ndtiff:DIR, an NDTiff data set followed while somebody else writes it: Micro-Manager's window, or pycromanager.

Nothing is ever written into DIR, and nothing in it is believed before it is checked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from daemon.config import SourceSection
from daemon.sources.camera import TICK_S, Happening, Lost, Shot, Waiting
from daemon.sources.data_sets import DataSets
from daemon.sources.growing import GrowingDataSet, Image
from daemon.sources.numbering import Numbering
from selfstorm.errors import InputError
from selfstorm.formats import micromanager_tags
from selfstorm.formats.pixel_size import plausible_nm
from selfstorm.frames import PixelType, StreamInfo

POLL_S = 0.004
QUIET_S = 2.0
MOST_CHARACTERS = 256  # of the camera in a stream's description


class NDTiff:
    """The data set in DIR, or DIR's newest one, from image number `resume_at` to its last; waits for it to be begun."""

    def __init__(self, section: SourceSection, stop: threading.Event, resume_at: int) -> None:
        self._section, self._stop, self._resume_at = section, stop, resume_at
        self._place = Path(section.place)
        if self._place.is_file():
            raise InputError(
                "is a file", where=self._place, mend="name the folder of the data set, or the one it comes into"
            )
        self._sets = DataSets(self._place, also_finished=resume_at > 0)

    def happenings(self) -> Iterator[Happening]:
        folder: Path | None = None
        while not self._stop.is_set():
            if folder is None:
                yield Waiting(self._sets.awaited)
                self._stop.wait(TICK_S)
                folder = self._sets.newest()
                continue
            with GrowingDataSet(folder, self._section.select) as data_set:
                yield from self._follow(data_set)
                if data_set.finished:
                    return
            folder = self._sets.newest()  # whoever wrote the last one has begun another without finishing it

    def _follow(self, data_set: GrowingDataSet) -> Iterator[Happening]:
        """All images of a data set, until it is finished or a newer one is begun."""
        info: StreamInfo | None = None
        numbering, seen_s, told = Numbering(), time.monotonic(), False
        while not (self._stop.is_set() or data_set.finished):
            for image in data_set.images():
                seen_s, told = time.monotonic(), False
                if image is None:
                    yield None
                    continue
                number, lost = numbering.next(image.stamp.number)
                if number < self._resume_at:
                    yield None
                    continue
                shape = image.pixels.shape
                if info is None or (info.height, info.width, info.dtype) != (*shape, image.pixels.dtype.name):
                    info = self._describe(data_set, image)
                    yield info
                elif lost:
                    yield Lost(lost)
                yield Shot(image.pixels, number, image.stamp.camera_ms)
            quiet = time.monotonic() - seen_s > QUIET_S
            if quiet and not told:
                told = True
                yield Waiting(f"for the next image of {data_set.folder.name} ({data_set.count} so far)")
            if quiet and self._sets.newest() not in (None, data_set.folder):
                return
            self._stop.wait(TICK_S if quiet else POLL_S)
            yield None

    def _describe(self, data_set: GrowingDataSet, image: Image) -> StreamInfo:
        taken = micromanager_tags.acquisition(image.tags)
        dtype: PixelType = image.pixels.dtype.name  # type: ignore[assignment]  # the index admits two types only
        height, width = image.pixels.shape
        return StreamInfo(
            stream=uuid4().hex,
            source=self._section.uri,
            height=height,
            width=width,
            dtype=dtype,
            pixel_nm=plausible_nm(micromanager_tags.pixel_nm(image.tags)),
            exposure_ms=taken.exposure_ms,
            camera=f"{taken.camera or 'camera'}, saved to {data_set.folder.name}"[:MOST_CHARACTERS],
            binning=taken.binning,
            roi_yx=taken.roi_yx,
        )
