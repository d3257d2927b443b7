"""Checkpoint of the model for the next run.

It is always the last good model, whole or not at all.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from daemon.health import Health
from daemon.processing.sinks import Sink, WindowOutput
from selfstorm.io.atomic_files import check_file, free_path
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.model_protocol import StreamModel

INTERVAL_S = 5.0


class CheckpointWriter(Sink):
    """Writes the model every few seconds while it learns, and at the end.

    A thread of its own writes; the worker never waits for it.

    Args:
        path: file of the checkpoint.
        health: takes the state of the checkpoint, and events.

    A file that exists is replaced only by a model that continues it, else a number is added to the name. A file that
    cannot be written ends the checkpoints, with an event; the stream goes on.
    """

    def __init__(self, path: Path, health: Health) -> None:
        check_file(path)
        self._path, self._health = path, health
        self._changed = threading.Condition()
        self._model: StreamModel | None = None
        self._source, self._closed, self._continues = "", False, False
        self._written = False
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        health.report(checkpoint=str(path))

    def start(self) -> None:
        """Start the thread that writes."""
        self._thread.start()

    def learned(self, output: WindowOutput, sums: Accumulation | None) -> None:
        """Keep the model of a window that it learned from.

        The model is never changed again, only replaced.
        """
        if output.model is not None:
            window = output.window
            with self._changed:
                self._model, self._continues = output.model, output.continues
                self._source = f"{window.info.source}, stream {window.info.stream}, frame {window.last_seq}"
                self._changed.notify()

    def close(self) -> None:
        """Write the last model if it is not written yet."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        written_s = -INTERVAL_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._model is not None or self._closed)
                self._changed.wait_for(lambda: self._closed, max(0.0, written_s + INTERVAL_S - time.monotonic()))
                model, source, closed, self._model = self._model, self._source, self._closed, None
            if model is not None and not self._write(model, source):
                return
            written_s = time.monotonic()
            if closed:
                return

    def _keep_existing(self) -> None:
        """Write beside a file that this run did not start from."""
        free = free_path(self._path)
        if free != self._path:
            text = f"{self._path} exists and this run did not start from it; it is kept, the model is saved as {free}"
            self._path = free
            self._health.report(checkpoint=str(free))
            self._health.event("warning", "checkpoint_renamed", text)

    def _write(self, model: StreamModel, source: str) -> bool:
        try:
            if not self._written and not self._continues:
                self._keep_existing()
            model.save(self._path, source, overwrite=True)
            self._written = True
        except Exception as error:  # InputError where it cannot be written; else a fault of the program
            self._health.report(checkpoint="")
            self._health.event("error", "checkpoint_stopped", f"{error}; the stream goes on")
            return False
        return True
