"""Demonstration: a daemon with a simulated camera.

It is started from the viewer and stopped with it.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PySide6 import QtCore

TIED = "from selfstorm.parent_process import end_with_parent; end_with_parent(); "  # also where the viewer is killed
COMMAND = (sys.executable, "-c", f"{TIED}from daemon.cli import main; main()", "run", "simulate")
NEEDS = ("torch", "daemon")
STOP_MS = 5000
NOT_INSTALLED = 'The demo needs the whole package: pip install "selfstorm[all]"'


class Demo(QtCore.QObject):
    """Process of the demonstration's daemon.

    `failed` is emitted with a sentence where it ends by itself with an error.

    Args:
        command: Program and arguments.

    Attributes:
        kept: Temporary folders that hold what was recorded or saved.
    """

    failed = QtCore.Signal(str)

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        super().__init__()
        self._command = command
        self._process: QtCore.QProcess | None = None
        self._folder: Path | None = None
        self.kept: list[Path] = []

    @property
    def running(self) -> bool:
        """True while the process runs."""
        return self._process is not None

    def start(self) -> bool:
        """Start the daemon unless it runs.

        Returns:
            False, with a reason through `failed`, where it is not installed.
        """
        if self._process is not None:
            return True
        if any(importlib.util.find_spec(name) is None for name in NEEDS):
            self.failed.emit(NOT_INSTALLED)
            return False
        self._folder = Path(tempfile.mkdtemp(prefix="selfstorm-demo-"))
        self._process = QtCore.QProcess(self)
        self._process.setWorkingDirectory(str(self._folder))
        self._process.setStandardOutputFile(QtCore.QProcess.nullDevice())
        self._process.finished.connect(self._finish)
        self._process.start(self._command[0], list(self._command[1:]))
        return True

    def stop(self) -> None:
        """Stop the daemon, if it runs."""
        if self._process is not None:
            process, self._process = self._process, None
            process.finished.disconnect(self._finish)
            process.terminate()
            if not process.waitForFinished(STOP_MS):  # Windows has no signal for a console program
                process.kill()
                process.waitForFinished(STOP_MS)
            process.deleteLater()
        self._clear()

    def _finish(self, code: int) -> None:
        process, self._process = self._process, None
        lines = bytes(process.readAllStandardError().data()).decode(errors="replace").split("\n") if process else []
        if process is not None:
            process.deleteLater()
        self._clear()
        if code:
            said = [line.strip() for line in lines if line.strip()]
            self.failed.emit(f"The demo has stopped: {said[-1] if said else f'exit code {code}'}")

    def _clear(self) -> None:
        """Remove its folder, unless something was recorded into it."""
        if self._folder is not None:
            try:
                self._folder.rmdir()
            except OSError:
                self.kept.append(self._folder)
            self._folder = None
