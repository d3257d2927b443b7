"""Save a screenshot of the viewer after a number of windows, then quit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6 import QtCore, QtWidgets

from client.presenter import Presenter
from selfstorm.errors import InputError

COMPLETE, TIMED_OUT = 0, 1
SETTLING_TICKS = 5  # axes and scale bars are placed only after the picture has been painted once


class Screenshot(QtCore.QObject):
    """Screenshot of a window.

    The application ends with COMPLETE or TIMED_OUT; save() then writes the file.

    Args:
        window: Window to save.
        presenter: Its presenter.
        windows: Number of windows to wait for.
        timeout_s: Longest wait for them.
    """

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
        """Write the window as it is now.

        Raises:
            InputError: The file cannot be written.
        """
        if not self._window.grab().save(str(path), "PNG"):
            raise InputError("the screenshot cannot be written", where=path)
