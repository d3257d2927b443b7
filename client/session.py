"""Viewer session: the window and its source, a daemon or a saved movie."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6 import QtWidgets

from client.controls.actions import DaemonActions
from client.export.drag_export import StartDrag
from client.presenter import Presenter
from client.state import ViewerState
from client.subscriber import ArrivalBatch, Subscriber
from client.timeline.playhead import Playhead, seek
from client.timeline.saved_movie import open_movie
from client.trust.trends import Trend
from client.window.demo import Demo
from client.window.export_commands import ExportCommands
from client.window.main_view import MODES
from client.window.main_window import ViewerWindow
from client.window.menu_commands import AskPath, Commands
from client.window.preferences import Preferences
from daemon.protocol.address import DEFAULT_RESULTS, DaemonAddress
from daemon.transport.client_socket import load_key
from selfstorm.errors import InputError

LAYOUTS = ("picture_area", "side")


class EmptySource:
    """A source without messages, for saved movies."""

    def drain(self) -> ArrivalBatch:
        """Return an empty batch."""
        return ArrivalBatch((), Counter())


class ViewerSession:
    """The viewer's window with its source, from connect() or open() to stop().

    Args:
        preferences: What is remembered between sessions.
        clock: Monotonic time in seconds.
        ask_save, ask_open: File dialogs; Qt's own unless given.
        start_drag: Starts the drag of a file; Qt's own unless given.
        demo: Daemon of the demonstration.
        demo_results: Address at which that daemon publishes.
    """

    def __init__(
        self,
        preferences: Preferences,
        clock: Callable[[], float] = time.monotonic,
        ask_save: AskPath | None = None,
        ask_open: AskPath | None = None,
        start_drag: StartDrag | None = None,
        demo: Demo | None = None,
        demo_results: str = DEFAULT_RESULTS,
    ) -> None:
        self._preferences, self._clock = preferences, clock
        self._subscriber: Subscriber | None = None
        self.window = ViewerWindow()
        self.commands = Commands(self.window, preferences, ask_open)
        self.exports = ExportCommands(self.window, preferences, ask_save, start_drag)
        self.presenter = Presenter(EmptySource(), self.window, ViewerState(""), clock)
        self.window.moved.connect(self.presenter.move)
        self.daemon_actions = DaemonActions(self.window, self.presenter)
        self.window.closed.connect(self._save_layout)
        self.commands.connect_asked.connect(self._try_to_connect)
        self.commands.open_asked.connect(self._try_to_open)
        self.demo = Demo() if demo is None else demo
        self.demo.failed.connect(self._demo_failed)
        self._demo_target = DaemonAddress(demo_results)
        self.window.menu_actions["demo"].triggered.connect(self._start_demo)
        self._restore_layout()

    def connect(self, target: DaemonAddress, *, demo: bool = False) -> None:
        """Connect to a daemon and clear what was shown before.

        Args:
            target: Its addresses and key.
            demo: Whether it is that of the demo, which is starting.

        Raises:
            InputError: The key cannot be read.
        """
        key = load_key(target.key) if target.key is not None else None
        self._stop_listening()
        self._subscriber = Subscriber(target.results, self._clock, key)
        self._subscriber.start()
        self.presenter.begin(self._subscriber, ViewerState(target.results, demo=demo))
        self.daemon_actions.begin(target.control_address, key)
        self._preferences.remember(target)

    def open(self, path: Path) -> None:
        """Open a saved movie.

        Raises:
            InputError: The file cannot be read; the window then stays as it is.
        """
        history = open_movie(path)
        self._stop_listening()
        trend = Trend()
        for number, pair in enumerate(history.pairs):
            trend = trend.with_window(number, pair)
        start = seek(Playhead(), history, history.first)
        state = ViewerState("", movie=path.name, history=history, playhead=start, trend=trend)
        self.presenter.begin(EmptySource(), state)

    def stop(self) -> None:
        """Stop all threads and timers."""
        self.presenter.stop()
        self.exports.stop()
        self.demo.stop()
        self._stop_listening()

    def _try_to_connect(self, target: DaemonAddress, *, demo: bool = False) -> None:
        try:
            self.connect(target, demo=demo)
        except InputError as error:
            self.window.show_message(str(error))

    def _try_to_open(self, path: str) -> None:
        try:
            self.open(Path(path))
        except InputError as error:
            self.window.show_message(str(error))

    def _start_demo(self) -> None:
        if self.demo.start():
            self._try_to_connect(self._demo_target, demo=True)
            self.window.show_message("The demo is starting …")

    def _demo_failed(self, why: str) -> None:
        self.presenter.change(lambda state: replace(state, demo=False))
        self.window.show_message(why)

    def _stop_listening(self) -> None:
        self.daemon_actions.stop()
        if self._subscriber is not None:
            self._subscriber.stop()
            self._subscriber = None

    def _restore_layout(self) -> None:
        preferences, window = self._preferences, self.window
        if preferences.theme != "dark":
            window.menu_actions["light"].setChecked(True)
        window.set_theme(preferences.theme)
        if preferences.mode in MODES:
            window.sr.set_mode(preferences.mode)
        geometry = preferences.layout("window")
        if not geometry.isEmpty():
            window.restoreGeometry(geometry)
        for name in LAYOUTS:
            if not (sizes := preferences.layout(name)).isEmpty():
                splitter: QtWidgets.QSplitter = getattr(window, name)
                splitter.restoreState(sizes)
        window.welcome.setVisible(preferences.first_start)

    def _save_layout(self) -> None:
        self._preferences.save_layout("window", self.window.saveGeometry())
        for name in LAYOUTS:
            self._preferences.save_layout(name, getattr(self.window, name).saveState())
