"""Progress of a command: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

INTERVAL_S = 10.0


@contextmanager
def progress(length: int, label: str, unit: str, interval_s: float = INTERVAL_S) -> Iterator[Callable[[int], None]]:
    """Show progress within a block.

    Where the output is no terminal, such as a log of a batch job, a line is written at regular intervals.

    Args:
        length: Number of steps.
        label: What is done.
        unit: What is counted, in the plural.
        interval_s: Time between lines.

    Yields:
        Function that takes the number of steps done since its last call.
    """
    if sys.stdout.isatty():
        with click.progressbar(length=length, label=label) as bar:
            yield bar.update
        return
    with Lines(length, label, unit, interval_s) as lines:
        yield lines.add


class Lines:
    """Lines of progress, written in the background until closed.

    Arguments as of `progress`.
    """

    def __init__(self, length: int, label: str, unit: str, interval_s: float) -> None:
        self._length, self._label, self._unit, self._interval_s = length, label, unit, interval_s
        self._done = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._write, name="progress", daemon=True)

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def add(self, steps: int) -> None:
        """Count steps that are done."""
        self._done += steps

    def _write(self) -> None:
        start_s = time.monotonic()
        while True:
            done = f"{self._done} of {self._length} {self._unit}"
            click.echo(f"{self._label}: {done}, {time.monotonic() - start_s:.0f} s")
            if self._closed.wait(self._interval_s):
                return
