"""ndtiff:DIR, an NDTiff data set followed while it is written.

Another program writes it: Micro-Manager's window, or pycromanager. DIR is only read, and its content is checked before
it is used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from daemon.sources.camera import TICK_S, CameraFrame, Lost, Resume, SourceEvent, Waiting
from daemon.sources.data_sets import DataSets
from daemon.sources.growing import GrowingDataSet, Image
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError
from selfstorm.frames import PixelType, StreamInfo
from selfstorm.io import micromanager_tags
from selfstorm.io.frame_numbers import Numbering
from selfstorm.io.pixel_size import plausible_nm

POLL_S = 0.004
QUIET_S = 2.0
MAX_CHARACTERS = 256  # of the camera in a stream's description


class NDTiff:
    """The data set in DIR, or DIR's newest one, to its last image.

    It waits for the data set to be begun.

    Args:
        section: the configuration of the source.
        stop: ends the source.
        resume: position to go on from; its `left` names the data set, and the number of frames sent before it.

    Raises:
        InputError: DIR is a file.
    """

    def __init__(self, section: SourceSection, stop: threading.Event, resume: Resume) -> None:
        self._section, self._stop, self._resume, self._sent = section, stop, resume, resume.sent
        self._place = Path(section.place)
        if self._place.is_file():
            raise InputError(
                "is a file", where=self._place, hint="name the folder of the data set, or the one it comes into"
            )
        self._sets = DataSets(self._place, also_finished=bool(resume.left))

    def events(self) -> Iterator[SourceEvent]:
        """Yield the images of data set after data set, until one is finished."""
        folder, sent_before = self._left_at()
        while not self._stop.is_set():
            if folder is None:
                yield Waiting(self._sets.awaited)
                self._stop.wait(TICK_S)
                folder = self._sets.newest()
                continue
            self._resume.leave({"data_set": str(folder), "sent_before": sent_before}, "")
            with GrowingDataSet(folder, self._section.select) as data_set:
                yield from self._follow(data_set, skip=self._sent - sent_before)
                if data_set.finished:
                    return
            # The writer has begun another data set without finishing the last one.
            folder, sent_before = self._sets.newest(), self._sent

    def _left_at(self) -> tuple[Path | None, int]:
        """Return the position of a camera process before this one.

        Returns:
            (data set, frames sent before it); (None, ...) where there is no such data set.
        """
        left = self._resume.left
        if left and (folder := Path(left["data_set"])).is_dir():
            return folder, int(left["sent_before"])
        return None, self._sent

    def _follow(self, data_set: GrowingDataSet, skip: int) -> Iterator[SourceEvent]:
        """Yield the images of a data set.

        It ends when the data set is finished, or when a newer one is begun.

        Args:
            data_set: to follow.
            skip: number of images that were sent already.
        """
        info: StreamInfo | None = None
        numbering, seen_s, reported, newer = Numbering(), time.monotonic(), "", False
        while not (self._stop.is_set() or data_set.finished):
            for image in data_set.images():
                seen_s, reported = time.monotonic(), ""
                if image is None:
                    yield None
                    continue
                number, lost = numbering.next(image.stamp.number, image.missing)
                if skip > 0:
                    skip -= 1
                    yield None
                    continue
                shape = image.pixels.shape
                if info is None or (info.height, info.width, info.dtype) != (*shape, image.pixels.dtype.name):
                    info = self._describe(data_set, image)
                    yield info
                if lost:
                    yield Lost(lost)
                self._sent += 1
                yield CameraFrame(image.pixels, number, image.stamp.camera_ms)
            quiet = time.monotonic() - seen_s > QUIET_S
            if quiet and newer:  # and nothing more was saved by the time it was found
                if (left := data_set.abandon() - skip) > 0:
                    yield Lost(left)
                return
            awaited = data_set.overdue or f"for the next image of {data_set.folder.name} ({data_set.count} so far)"
            if quiet and awaited != reported:
                reported = awaited
                yield Waiting(awaited)
            newer = quiet and self._sets.newest() not in (None, data_set.folder)
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
            camera=f"{taken.camera or 'camera'}, saved to {data_set.folder.name}"[:MAX_CHARACTERS],
            binning=taken.binning,
            roi_yx=taken.roi_yx,
        )
