"""The viewer from start to end: the application, a session, an orderly end of both."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click
from PySide6 import QtCore, QtWidgets

from client.address import Target
from client.export.screenshot import TIMED_OUT, Screenshot
from client.session import ViewerSession
from client.widgets.screen import require_screen
from client.widgets.theme import apply_theme
from client.window.preferences import Preferences
from selfstorm.commands.console import INTERRUPTED


def watch(target: Target, movie: Path | None, screenshot: Path | None, windows: int, timeout_s: float) -> int:
    """Show a movie, or what a daemon publishes, until the window is closed. Returns the exit code.

    Raises InputError where no window can be opened, the movie not read, or the screenshot not written.
    """
    require_screen(os.environ, Path(QtCore.QLibraryInfo.path(QtCore.QLibraryInfo.LibraryPath.PluginsPath)))
    application = QtWidgets.QApplication(sys.argv[:1])
    application.setApplicationName("selfstorm-viewer")
    application.setApplicationDisplayName("Self-STORM live")
    apply_theme(application)
    if application.platformName() == "offscreen":
        # It warns once a widget that it cannot tell a window manager about sizes; there is none.
        QtCore.QLoggingCategory.setFilterRules("default.warning=false")
    # The presenter's timer lets Python see the signal between two Qt events.
    signal.signal(signal.SIGINT, lambda *_: application.exit(INTERRUPTED))
    # A screenshot shows the window as it comes, not as somebody left it.
    store = None if screenshot else QtCore.QSettings("selfstorm", "selfstorm-viewer")
    preferences = Preferences(store)
    session = ViewerSession(preferences)
    try:
        if movie is not None:
            session.open(movie)
        else:
            session.connect(preferences.recall(target))
        shot = Screenshot(session.window, session.presenter, windows, timeout_s) if screenshot else None
        session.window.show()
        code = application.exec()
        if shot is not None and screenshot is not None and code != INTERRUPTED:
            shot.save(screenshot)
    finally:
        session.stop()
    if shot is not None and code == TIMED_OUT:
        seen = f"{session.presenter.state.windows} of {windows} windows were shown within {timeout_s:g} s"
        click.echo(f"error: {seen}; saved what was there: {screenshot}", err=True)
    return code
