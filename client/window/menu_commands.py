"""Commands of the menus.

Each action of action_table.py is a short method or a line.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6 import QtCore, QtWidgets

from client.picture.field import field_of
from client.picture.pictures import PicturePair
from client.timeline.playhead import follow, mark, seek, step, to_mark
from client.window.connect_dialog import ConnectDialog
from client.window.help_pages import about_page, shortcuts_page
from client.window.main_view import MODES
from client.window.main_window import ViewerWindow
from client.window.picture_tools import PictureTool
from client.window.preferences import Preferences
from daemon.protocol.address import DEFAULT_RESULTS, DaemonAddress

ZOOM = 1.25
MOVIES = "Movies (*.tif *.tiff *.part)"

AskPath = Callable[[str, str, str], str]


class Commands(QtCore.QObject):
    """Commands of all menus except Daemon and what ExportCommands does.

    Signals: `connect_asked` with a Target and `open_asked` with a path, both for the session.

    Args:
        window: Window whose actions are connected.
        preferences: What is remembered between sessions.
        ask_open: (title, proposed name, filter) -> path, empty for none; Qt's own dialog unless given.
    """

    connect_asked = QtCore.Signal(object)
    open_asked = QtCore.Signal(str)

    def __init__(
        self,
        window: ViewerWindow,
        preferences: Preferences,
        ask_open: AskPath | None = None,
    ) -> None:
        super().__init__()
        self._window, self._preferences = window, preferences
        self._ask_open = ask_open or self._open_dialog
        for name, do in (self._file() | self._view() | self._time() | self._tools() | self._help()).items():
            window.menu_actions[name].triggered.connect(do)
        for name, tool, tab in (
            ("profile", window.profile_line, window.profile),
            ("region", window.region_box, window.region),
        ):
            window.menu_actions[name].toggled.connect(lambda on, tool=tool, tab=tab: self._show_tool(on, tool, tab))
        window.menu_actions["second_screen"].toggled.connect(window.second_screen.switch)
        window.menu_actions["focus"].toggled.connect(window.focus.setVisible)
        window.focus.closed.connect(lambda: window.menu_actions["focus"].setChecked(False))
        self._synchronise_switches()

    def _file(self) -> dict[str, Callable[..., object]]:
        return {
            "connect": self._connect,
            "open": self._open,
            "quit": self._window.close,
        }

    def _view(self) -> dict[str, Callable[..., object]]:
        window, view = self._window, self._window.sr.view
        modes = {mode: lambda _=False, mode=mode: window.sr.set_mode(mode) for mode in MODES}
        return modes | {
            "whole": lambda: window.reset_view(),
            "zoom_in": lambda: view.scaleBy((1 / ZOOM, 1 / ZOOM)),
            "zoom_out": lambda: view.scaleBy((ZOOM, ZOOM)),
            "error_map": lambda on: self._show_maps(error=on, trust=False),
            "trust_map": lambda on: self._show_maps(error=False, trust=on),
            "lock": self._lock,
            "invert": lambda on: window.sr.controls.change(invert=on),
            "light": self._set_light,
        }

    def _time(self) -> dict[str, Callable[..., object]]:
        moved, bar = self._window.moved, self._window.time_bar
        return {
            "live": lambda: moved.emit(lambda p, _h, _n: follow(p)),
            "back": lambda: moved.emit(lambda p, h, _n: step(p, h, -1)),
            "forward": lambda: moved.emit(lambda p, h, _n: step(p, h, 1)),
            "oldest": lambda: moved.emit(lambda p, h, _n: seek(p, h, h.first)),
            "play": bar.play.click,
            "loop": lambda on: bar.loop.setChecked(on),
            "mark": lambda: moved.emit(lambda p, h, _n: mark(p, h)),
            "mark_before": lambda: moved.emit(lambda p, h, _n: to_mark(p, h, -1)),
            "mark_after": lambda: moved.emit(lambda p, h, _n: to_mark(p, h, 1)),
        }

    def _tools(self) -> dict[str, Callable[..., object]]:
        return {"cancel": self._window.cancel}

    def _help(self) -> dict[str, Callable[..., object]]:
        return {
            "shortcuts": lambda: shortcuts_page(self._window).show(),
            "welcome": lambda: self._window.welcome.show(),
            "about": lambda: about_page(self._window).show(),
        }

    def _show_maps(self, *, error: bool, trust: bool) -> None:
        """Show one map at most."""
        self._window.menu_actions["error_map"].setChecked(error)
        self._window.menu_actions["trust_map"].setChecked(trust)
        self._window.sr.set_maps(error=error, trust=trust)

    def _synchronise_switches(self) -> None:
        """Keep menu switches and their buttons elsewhere in the same state."""
        window = self._window
        window.time_bar.loop.toggled.connect(window.menu_actions["loop"].setChecked)
        controls = window.sr.controls
        controls.changed.connect(lambda: window.menu_actions["lock"].setChecked(not controls.contrast.auto))
        controls.changed.connect(lambda: window.menu_actions["invert"].setChecked(controls.contrast.invert))
        window.welcome.dismissed.connect(self._dismiss_welcome)
        for slot in (self._dismiss_welcome, window.menu_actions["demo"].trigger):
            window.welcome.demo_wanted.connect(slot)
        window.sr.mode_changed.connect(lambda mode: setattr(self._preferences, "mode", mode))

    def _connect(self) -> None:
        endpoint = self._window.state.endpoint if self._window.state else ""
        here = self._preferences.recall(DaemonAddress(endpoint or DEFAULT_RESULTS))
        dialog = ConnectDialog(self._window, (here, *self._preferences.recent), self._ask_open)
        dialog.chosen.connect(self.connect_asked)
        dialog.open()

    def _open(self) -> None:
        if path := self._ask_open("Open movie", "", MOVIES):
            self.open_asked.emit(path)

    def _lock(self, locked: bool) -> None:
        controls = self._window.sr.controls
        controls.change(auto=not locked, low=controls.low.value(), high=controls.high.value())

    def _set_light(self, light: bool) -> None:
        self._preferences.theme = "light" if light else "dark"
        self._window.set_theme(self._preferences.theme)

    def _show_tool(self, on: bool, tool: PictureTool, tab: QtWidgets.QWidget) -> None:
        pair = self._shown()
        if pair is not None:
            tool.switch(on, field_of(pair))
        if on:
            self._window.tabs.setCurrentWidget(tab)
            if not tool.drawn:
                self._window.show_message("Drag on the picture to draw.")

    def _dismiss_welcome(self) -> None:
        self._preferences.dismiss_welcome()
        self._window.welcome.hide()

    def _shown(self) -> PicturePair | None:
        return self._window.state.shown if self._window.state else None

    def _open_dialog(self, title: str, name: str, kind: str) -> str:
        return QtWidgets.QFileDialog.getOpenFileName(self._window, title, name, kind)[0]
