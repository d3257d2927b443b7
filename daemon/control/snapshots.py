"""Snapshots: the newest pictures and the mean of the camera frames."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from pathlib import Path

from daemon.health import Health
from daemon.protocol.verbs import RefusedRequestError
from daemon.transport.publisher import Picture
from selfstorm.io.atomic_files import free_path, make_folder
from selfstorm.io.ome_tiff import OmeTiffWriter

MAX_WAITING = 8


class Snapshots(threading.Thread):
    """Writes snapshots into a folder, in a thread of its own.

    Neither the worker nor control waits for the disk.

    Args:
        folder: made with the first snapshot.
        health: takes an event for each file.
    """

    def __init__(self, folder: Path, health: Health) -> None:
        super().__init__(name="snapshots", daemon=True)
        self._folder, self._health = folder, health
        self._names: Counter[str] = Counter()
        self._waiting: queue.Queue[tuple[Path, Picture] | None] = queue.Queue()

    def save(
        self, picture: Picture, raw: Picture | None, accumulated: Picture | None = None, before: Picture | None = None
    ) -> Path:
        """Queue a picture for writing; an event reports when it is written.

        Args:
            picture: to be saved.
            raw: mean of camera frames; saved too where it is of the same window.
            accumulated: picture of all frames of the scene; saved too where there is one.
            before: the last one of the scene before; likewise.

        Returns:
            Path that the picture will have, unless a file of an earlier run has it: the event says which it got.

        Raises:
            RefusedRequestError: too many snapshots wait to be written.
        """
        header = picture[0]
        of_window, ending = f"snapshot-{header.run[:8]}-window-{header.window}", ".ome.tif"
        number = self._names[of_window] + 1
        name = f"{of_window}-{number}" if number > 1 else of_window
        wanted = [(self._folder / f"{name}{ending}", picture)]
        if raw is not None and raw[0].window == header.window:
            wanted.append((self._folder / f"{name}-raw{ending}", raw))
        for what, long_one in (("accumulated", accumulated), ("accumulated-before", before)):
            if long_one is not None:
                wanted.append((self._folder / f"{name}-{what}{ending}", long_one))
        if self._waiting.qsize() + len(wanted) > MAX_WAITING:
            raise RefusedRequestError("earlier snapshots are still being written")
        self._names = Counter({of_window: number})
        for one in wanted:
            self._waiting.put(one)
        return wanted[0][0]

    def finish(self) -> None:
        """End once what is queued is written; a drive that hangs may hold that up."""
        self._waiting.put(None)

    def run(self) -> None:
        """Write queued snapshots until the thread is closed."""
        while (wanted := self._waiting.get()) is not None:
            path, (header, pixels) = wanted
            try:
                path = free_path(path)
                make_folder(self._folder, "let the daemon write there, or save elsewhere")
                with OmeTiffWriter(path, header.pixel_nm) as writer:
                    writer.add(pixels, header.model_dump(mode="json", exclude={"shape", "dtype"}))
            except Exception as error:  # the next one may succeed
                self._health.event("error", "snapshot_failed", f"{path}: {error}")
            else:
                self._health.event("info", "snapshot_saved", str(path))
