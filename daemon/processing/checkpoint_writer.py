"""What the model has learned, kept on disk for the next run: the last good one, whole or not at all."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from daemon.health import Health
from selfstorm.errors import InputError
from selfstorm.io.atomic_files import check_file
from selfstorm.stream.checkpoint import save_model
from selfstorm.stream.model import SequenceModel

EVERY_S = 5.0


class CheckpointWriter(threading.Thread):
    """Writes the model to `path` every few seconds while it learns, and at the end. The worker never waits for it.

    A place that cannot be written ends the keeping, with an event; the stream goes on.
    """

    def __init__(self, path: Path, health: Health) -> None:
        super().__init__(name="keeper", daemon=True)
        check_file(path)
        self._path, self._health = path, health
        self._changed = threading.Condition()
        self._model: SequenceModel | None = None
        self._source, self._closed = "", False
        health.report(checkpoint=str(path))

    def keep(self, model: SequenceModel, source: str) -> None:
        """That model is good; it will not be changed any more, only replaced."""
        with self._changed:
            self._model, self._source = model, source
            self._changed.notify()

    def close(self) -> None:
        """Write what is not written yet, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self.join()

    def run(self) -> None:
        written_s = -EVERY_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._model is not None or self._closed)
                self._changed.wait_for(lambda: self._closed, max(0.0, written_s + EVERY_S - time.monotonic()))
                model, source, closed, self._model = self._model, self._source, self._closed, None
            if model is not None and not self._write(model, source):
                return
            written_s = time.monotonic()
            if closed:
                return

    def _write(self, model: SequenceModel, source: str) -> bool:
        try:
            save_model(model, self._path, source, overwrite=True)
        except InputError as error:
            self._health.report(checkpoint="")
            self._health.event("error", "checkpoint_stopped", f"{error}; the stream goes on")
            return False
        return True
