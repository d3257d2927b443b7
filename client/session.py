"""One sitting at the viewer: the window, the thread that listens, and an orderly end of both."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import click
from PySide6 import QtCore, QtWidgets

from client.look import dress
from client.presenter import Presenter
from client.screen import require_screen
from client.screenshot import TIMED_OUT, Screenshot
from client.state import ViewerState
from client.subscriber import Subscriber
from client.viewer import ViewerWindow
from selfstorm.console import INTERRUPTED


def watch(endpoint: str, screenshot: Path | None, windows: int, timeout_s: float) -> int:
    """Show what is published at the endpoint until the window is closed. Returns the exit code.

    Raises InputError where no window can be opened or the screenshot cannot be written.
    """
    require_screen(os.environ, Path(QtCore.QLibraryInfo.path(QtCore.QLibraryInfo.LibraryPath.PluginsPath)))
    application = QtWidgets.QApplication(sys.argv[:1])
    application.setApplicationName("selfstorm-viewer")
    application.setApplicationDisplayName("Self-STORM live")
    dress(application)
    if application.platformName() == "offscreen":
        # It warns once a widget that it cannot tell a window manager about sizes; there is none.
        QtCore.QLoggingCategory.setFilterRules("default.warning=false")
    # The presenter's timer lets Python see the signal between two Qt events.
    signal.signal(signal.SIGINT, lambda *_: application.exit(INTERRUPTED))
    window = ViewerWindow(endpoint)
    subscriber = Subscriber(endpoint, time.monotonic)
    presenter = Presenter(subscriber, window, ViewerState(endpoint), time.monotonic)
    shot = Screenshot(window, presenter, windows, timeout_s) if screenshot else None
    subscriber.start()
    try:
        window.show()
        presenter.start()
        code = application.exec()
        if shot is not None and screenshot is not None and code != INTERRUPTED:
            shot.save(screenshot)
    finally:
        presenter.stop()
        subscriber.stop()
    if shot is not None and code == TIMED_OUT:
        seen = f"{presenter.state.windows} of {windows} windows were shown within {timeout_s:g} s"
        click.echo(f"error: {seen}; saved what was there: {screenshot}", err=True)
    return code
