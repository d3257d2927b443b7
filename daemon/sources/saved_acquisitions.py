"""Data sets of acquisitions in Micro-Manager's window, followed on disk.

An acquisition takes its images out of the buffer, so few of them can be seen there; its data set has all of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from daemon.sources.acquisition_watch import AcquisitionWatch, RunningAcquisition
from daemon.sources.camera import CameraFrame, Note, Resume, SourceEvent, Waiting
from daemon.sources.data_sets import DataSets
from daemon.sources.live_sequence import TAKEN
from daemon.sources.ndtiff import NDTiff
from daemon.sources.section import SourceSection
from selfstorm.errors import SelfStormError

ASK_S, QUIET_S = 2.0, 1.0
MAX_SOUGHT = 3  # answers until a data set should be there
NOT_SAVED = (
    "an acquisition that is not saved runs in Micro-Manager: tick Save images in it, as NDTiff, and its data set is "
    "followed"
)
NOT_NDTIFF = (
    "an acquisition runs in Micro-Manager, and no NDTiff data set of it is in {root}: choose NDTiff as its format, or "
    "follow where it is saved: selfstorm-daemon run ndtiff --source ndtiff:FOLDER"
)


class SavedAcquisitions:
    """The acquisitions of Micro-Manager's window, as it names them.

    Args:
        watch: asks Micro-Manager's window.
        section: the configuration of the source.
        stop: ends every wait.
    """

    def __init__(self, watch: AcquisitionWatch, section: SourceSection, stop: threading.Event) -> None:
        self._watch, self._section, self._stop = watch, section, stop
        self._ask_due_s = 0.0
        self._data_set: Path | None = None
        self._followed: set[Path] = set()
        self._noted, self._sought = "", 0

    def until_one_runs(self, live: Generator[SourceEvent] | Iterator[SourceEvent]) -> Iterator[SourceEvent]:
        """Yield the events of live mode, until an acquisition's data set is there.

        Args:
            live: events of live mode; they are closed then.
        """
        frame_s = time.monotonic()
        for event in live:
            now_s = time.monotonic()
            frame_s = now_s if isinstance(event, CameraFrame) else frame_s
            yield event
            taken = event == Waiting(TAKEN)
            if (taken or now_s - frame_s > QUIET_S) and now_s >= self._ask_due_s:
                self._ask(now_s)
                running = self._watch.running
                if running is not None and (note := self._find(running)) and note != self._noted:
                    self._noted = note
                    yield Note(note)
                if self._data_set is not None:
                    break
        if isinstance(live, Generator):
            live.close()

    def events(self) -> Iterator[SourceEvent]:
        """Yield the images of the data set that was found, to its end.

        An acquisition that is broken off need not finish its data set: it ends then when no image comes.
        """
        folder, self._data_set = self._data_set, None
        if folder is None:
            return
        self._followed.add(folder)
        section = self._section.model_copy(update={"uri": f"ndtiff:{folder}"})
        waits, asked = False, self._watch.answers
        try:
            for event in NDTiff(section, self._stop, Resume()).events():
                yield event
                waits = isinstance(event, Waiting) or (waits and not isinstance(event, CameraFrame))
                if waits and time.monotonic() >= self._ask_due_s:
                    if self._watch.running is None and self._watch.answers > asked:
                        return
                    asked = self._watch.answers
                    self._ask(time.monotonic())
        except SelfStormError as error:
            yield Note(f"the data set of Micro-Manager's acquisition cannot be followed: {error}")

    def _ask(self, now_s: float) -> None:
        self._ask_due_s = now_s + ASK_S
        self._watch.ask()

    def _find(self, running: RunningAcquisition) -> str:
        """Find the data set of an acquisition.

        Returns:
            A sentence for the user.
        """
        if running.root is None:
            return NOT_SAVED
        newest = DataSets(running.root, also_finished=False).newest() if running.root.is_dir() else None
        if newest is None or newest in self._followed or not newest.name.startswith(running.prefix):
            self._sought += 1
            return NOT_NDTIFF.format(root=running.root) if self._sought > MAX_SOUGHT else ""
        self._sought = 0
        self._data_set = newest
        return f"an acquisition runs in Micro-Manager: its data set {newest} is followed, to its end"
