"""Snapshots: the newest picture and the mean of its camera frames."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

from daemon.health import Health
from daemon.protocol.verbs import RefusedRequestError
from daemon.transport.publisher import Picture
from selfstorm.io.atomic_files import free_path, make_folder
from selfstorm.io.ome_tiff import OmeTiffWriter

MAX_WAITING = 4


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
        self._named: set[Path] = set()
        self._waiting: queue.Queue[tuple[Path, Picture] | None] = queue.Queue(MAX_WAITING)

    def save(self, picture: Picture, raw: Picture | None) -> Path:
        """Queue a picture for writing; an event reports when it is written.

        Args:
            picture: to be saved.
            raw: mean of camera frames; saved too where it is of the same window.

        Returns:
            Path that the picture will have.

        Raises:
            RefusedRequestError: too many snapshots wait to be written.
        """
        header = picture[0]
        name = f"snapshot-{header.run[:8]}-window-{header.window}"
        wanted = [(self._free(f"{name}.ome.tif"), picture)]
        if raw is not None and raw[0].window == header.window:
            wanted.append((self._free(f"{name}-raw.ome.tif"), raw))
        if self._waiting.qsize() + len(wanted) > MAX_WAITING:
            raise RefusedRequestError("earlier snapshots are still being written")
        for one in wanted:
            self._waiting.put(one)
        return wanted[0][0]

    def _free(self, name: str) -> Path:
        """Choose a name that no file has, nor one that still waits."""
        path, number = self._folder / name, 1
        while path in self._named or free_path(path) != path:
            number += 1
            stem, dot, ending = name.partition(".")
            path = self._folder / f"{stem}-{number}{dot}{ending}"
        self._named.add(path)
        return path

    def close(self) -> None:
        """Write what is queued, and end."""
        self._waiting.put(None)
        self.join()

    def run(self) -> None:
        """Write queued snapshots until the thread is closed."""
        while (wanted := self._waiting.get()) is not None:
            path, (header, pixels) = wanted
            self._named.discard(path)
            try:
                make_folder(self._folder, "let the daemon write there, or save elsewhere")
                with OmeTiffWriter(path, header.pixel_nm) as writer:
                    writer.add(pixels, header.model_dump(mode="json", exclude={"shape", "dtype"}))
            except Exception as error:  # the next one may succeed
                self._health.event("error", "snapshot_failed", f"{path}: {error}")
            else:
                self._health.event("info", "snapshot_saved", str(path))
