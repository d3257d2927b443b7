"""One sitting at the viewer: the window, and what feeds it: a daemon listened to, or a movie."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PySide6 import QtWidgets

from client.address import Target
from client.controls.actions import DaemonActions
from client.export.drag_out import StartDrag
from client.export.open_movie import open_movie
from client.presenter import Presenter
from client.state import ViewerState
from client.subscriber import Batch, Subscriber
from client.timeline.playhead import Playhead, seek
from client.trust.trends import Sample, with_window
from client.window.commands import AskPath, Commands
from client.window.main_view import MODES
from client.window.main_window import ViewerWindow
from client.window.preferences import Preferences
from daemon.transport.client_socket import load_key
from selfstorm.errors import InputError

LAYOUTS = ("picture_area", "side")


class Nothing:
    """A source from which nothing ever comes: while a movie is looked at."""

    def drain(self) -> Batch:
        """An empty batch."""
        return Batch((), Counter())


class ViewerSession:
    """From connect() or open() to stop(). clock: seconds, steadily running."""

    def __init__(
        self,
        settings: Preferences,
        clock: Callable[[], float] = time.monotonic,
        ask_save: AskPath | None = None,
        ask_open: AskPath | None = None,
        start_drag: StartDrag | None = None,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._subscriber: Subscriber | None = None
        self.window = ViewerWindow()
        self.commands = Commands(self.window, settings, ask_save, ask_open, start_drag)
        self.presenter = Presenter(Nothing(), self.window, ViewerState(""), clock)
        self.window.moved.connect(self.presenter.move)
        self.remote = DaemonActions(self.window, self.presenter)
        self.window.closed.connect(self._keep_layout)
        self.commands.connect_asked.connect(self._try_to_connect)
        self.commands.open_asked.connect(self._try_to_open)
        self._restore_layout()

    def connect(self, target: Target) -> None:
        """Listen to a daemon; what was shown before is forgotten. Raises InputError where its key cannot be read."""
        key = load_key(target.key) if target.key is not None else None
        self._stop_listening()
        self._subscriber = Subscriber(target.results, self._clock, key)
        self._subscriber.start()
        self.presenter.begin(self._subscriber, ViewerState(target.results))
        self.remote.begin(target.control_address, key)
        self._settings.connected(target)
        self.window.setWindowTitle(f"Self-STORM live – {target.results}")

    def open(self, path: Path) -> None:
        """Look at a saved movie. Raises InputError; what is shown then stays."""
        history = open_movie(path)
        self._stop_listening()
        trend: tuple[Sample, ...] = ()
        for number, pair in enumerate(history.pairs):
            trend = with_window(trend, number, pair)
        start = seek(Playhead(), history, history.first)
        state = ViewerState("", movie=path.name, history=history, playhead=start, trend=trend)
        self.presenter.begin(Nothing(), state)
        self.window.setWindowTitle(f"Self-STORM live – {path.name}")

    def stop(self) -> None:
        """End all that runs; the window may go."""
        self.presenter.stop()
        self.commands.stop()
        self._stop_listening()

    def _try_to_connect(self, target: Target) -> None:
        try:
            self.connect(target)
        except InputError as error:
            self.window.say(str(error))

    def _try_to_open(self, path: str) -> None:
        try:
            self.open(Path(path))
        except InputError as error:
            self.window.say(str(error))

    def _stop_listening(self) -> None:
        self.remote.stop()
        if self._subscriber is not None:
            self._subscriber.stop()
            self._subscriber = None

    def _restore_layout(self) -> None:
        settings, window = self._settings, self.window
        if settings.look != "dark":
            window.entries["light"].setChecked(True)
        window.set_look(settings.look)
        if settings.mode in MODES:
            window.sr.set_mode(settings.mode)
        geometry = settings.layout("window")
        if not geometry.isEmpty():
            window.restoreGeometry(geometry)
        for name in LAYOUTS:
            if not (sizes := settings.layout(name)).isEmpty():
                splitter: QtWidgets.QSplitter = getattr(window, name)
                splitter.restoreState(sizes)
        window.welcome.setVisible(settings.first_start)

    def _keep_layout(self) -> None:
        self._settings.keep_layout("window", self.window.saveGeometry())
        for name in LAYOUTS:
            self._settings.keep_layout(name, getattr(self.window, name).saveState())
