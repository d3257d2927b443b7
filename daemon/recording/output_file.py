"""A file that a run writes window by window, behind every kind of it."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from daemon.health import Health
from daemon.processing.sinks import Sink
from selfstorm.errors import InputError
from selfstorm.io.atomic_files import GrowingFile, check_file

Writer = TypeVar("Writer", bound=GrowingFile)


class OutputFile(Sink, Generic[Writer]):
    """An output that writes one file after another.

    The first is OUT; OUT-2 follows. Files of earlier runs are kept: a name that exists gets a number, too.

    A full disk, or a file that cannot be written, ends the output, with an event and a reason in the status; the stream
    goes on.

    Args:
        path: OUT, with an ending.
        health: takes the path of the open file, and events.

    Attributes:
        name: key of the path in the status.
        content: what it writes, in the plural.

    Raises:
        InputError: a file cannot be written there.
    """

    name: ClassVar[str]
    content: ClassVar[str]

    def __init__(self, path: Path, health: Health) -> None:
        check_file(path)
        self._path, self._health = path, health
        self._writer: Writer | None = None
        self._begun = self._failed = False
        health.report(**{self.name: str(path)})

    @abstractmethod
    def _free_path(self) -> Path:
        """Return the path of the next file."""

    def close(self) -> None:
        """Finish the file under its final name."""
        self._close_file()

    def _close_file(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except (OSError, InputError) as error:
                self._give_up(error, f"; what was written is kept as {writer.part}")

    def _give_up(self, error: OSError | InputError, kept: str = "") -> None:
        self._failed = True
        why = str(error) if isinstance(error, InputError) else f"{self._path}: {error.strerror or error}"
        self._health.output_ended(self.name, why)
        kept = kept or ("; what was written before is kept" if self._writer is not None else "")
        self._health.event("error", f"{self.name}_stopped", f"{why}{kept}")

    def _next_path(self) -> Path:
        path = self._free_path()
        if not self._begun and path != self._path:
            text = f"{self._path} exists and is kept; {self.content} go to {path}"
            self._health.event("warning", f"{self.name}_renamed", text)
        self._begun = True
        self._health.report(**{self.name: str(path)})
        return path
