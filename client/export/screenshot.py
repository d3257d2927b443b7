"""Saves the whole window as a PNG once enough windows were shown, then quits: for demonstrations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6 import QtCore, QtWidgets

from client.presenter import Presenter
from selfstorm.errors import InputError

COMPLETE, TIMED_OUT = 0, 1
SETTLING_TICKS = 5  # axes and scale bars find their places only after the picture was painted once


class Screenshot(QtCore.QObject):
    """Ends the application with COMPLETE or TIMED_OUT; save() then writes what was there."""

    def __init__(self, window: QtWidgets.QWidget, presenter: Presenter, windows: int, timeout_s: float) -> None:
        super().__init__()
        self._window = window
        self._presenter = presenter
        self._windows = windows
        self._ticks_left = SETTLING_TICKS
        self._quit: Callable[[int], None] = QtWidgets.QApplication.exit
        presenter.ticked.connect(self._check)
        QtCore.QTimer.singleShot(int(timeout_s * 1000), self, lambda: self._quit(TIMED_OUT))

    def _check(self) -> None:
        state = self._presenter.state
        shown = state.newest is not None and not state.newest.sr.preview
        if shown and state.windows >= self._windows and (state.movie or state.status is not None):
            self._ticks_left -= 1
            if self._ticks_left == 0:
                self._quit(COMPLETE)

    def save(self, path: Path) -> None:
        """Write the window as it is now. Raises InputError when the file cannot be written."""
        if not self._window.grab().save(str(path), "PNG"):
            raise InputError("the screenshot cannot be written", where=path)
