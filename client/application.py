"""Run the viewer: start the application and a session, end both in order."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click
from PySide6 import QtCore, QtWidgets

from client.export.screenshot import TIMED_OUT, Screenshot
from client.session import ViewerSession
from client.widgets.screen import require_screen
from client.widgets.theme import apply_theme
from client.window.preferences import Preferences
from daemon.protocol.address import DaemonAddress
from selfstorm.commands.console import INTERRUPTED


def watch(target: DaemonAddress, movie: Path | None, screenshot: Path | None, windows: int, timeout_s: float) -> int:
    """Show a movie or a daemon's pictures until the window is closed.

    Args:
        target: Daemon to connect to where no movie is given.
        movie: Saved movie to open instead.
        screenshot: PNG to write after `windows` windows, then quit; None to stay open.
        windows: Number of windows to wait for before the screenshot.
        timeout_s: Longest wait for them.

    Returns:
        The exit code.

    Raises:
        InputError: No window can be opened, the movie cannot be read, or the screenshot cannot be written.
    """
    require_screen(os.environ, Path(QtCore.QLibraryInfo.path(QtCore.QLibraryInfo.LibraryPath.PluginsPath)))
    application = QtWidgets.QApplication(sys.argv[:1])
    application.setApplicationName("selfstorm-viewer")
    apply_theme(application)
    if application.platformName() == "offscreen":
        # The offscreen platform warns once per widget that there is no window manager.
        QtCore.QLoggingCategory.setFilterRules("default.warning=false")
    # Python handles the signal between two Qt events; the presenter's timer makes sure that there are some.
    signal.signal(signal.SIGINT, lambda *_: application.exit(INTERRUPTED))
    # A screenshot shows the default layout, not the one last used here.
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
        for folder in session.demo.kept:
            click.echo(f"The demo's recordings are kept in a temporary folder; move what you need: {folder}")
    if shot is not None and code == TIMED_OUT:
        shown = f"only {session.presenter.state.windows} of {windows} windows arrived within {timeout_s:g} s"
        click.echo(f"error: {shown}; the screenshot was saved nevertheless: {screenshot}", err=True)
    return code
