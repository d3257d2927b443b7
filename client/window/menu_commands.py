"""Commands of the menus: each action of action_table.py as a short method or a line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from client.address import DEFAULT, Target
from client.export.csv_export import save_text
from client.export.drag_export import DragExport, StartDrag
from client.export.file_names import caption, file_stem, sample_of
from client.export.measurements import profile_csv, region_csv, trends_csv
from client.export.movie_export import MovieExport, save_data
from client.export.png_export import Figure, save_image, view_image
from client.export.programs import fiji_command, napari_command
from client.picture.field import field_of
from client.picture.pictures import UNIT, Pair
from client.timeline.playhead import follow, mark, seek, step, to_mark
from client.window.connect_dialog import ConnectDialog
from client.window.help_pages import about_page, shortcuts_page
from client.window.main_view import MODES
from client.window.main_window import ViewerWindow
from client.window.picture_tools import PictureTool
from client.window.preferences import Preferences
from selfstorm.errors import InputError

ZOOM = 1.25
PNG, TIFF, CSV = "PNG picture (*.png)", "OME-TIFF (*.ome.tif)", "Table (*.csv)"
NOT_FOUND = {
    "Fiji": "set the environment variable FIJI to its program, or drag the handle in the tool bar into it",
    "napari": 'pip install "napari[all]", or drag the handle in the tool bar into it',
}
MOVIES = "Movies (*.tif *.tiff *.part)"

AskPath = Callable[[str, str, str], str]


class Commands(QtCore.QObject):
    """Commands of all menus except Daemon.

    Signals: `connect_asked` with a Target and `open_asked` with a path, both for the session.

    Args:
        window: Window whose actions are connected.
        preferences: What is remembered between sessions.
        ask_save, ask_open: (title, proposed name, filter) -> path, empty for none; Qt's own dialogs unless given.
        start_drag: Starts the drag of a file; Qt's own unless given.
    """

    connect_asked = QtCore.Signal(object)
    open_asked = QtCore.Signal(str)

    def __init__(
        self,
        window: ViewerWindow,
        preferences: Preferences,
        ask_save: AskPath | None = None,
        ask_open: AskPath | None = None,
        start_drag: StartDrag | None = None,
    ) -> None:
        super().__init__()
        self._window, self._preferences = window, preferences
        self._ask_save = ask_save or self._save_dialog
        self._ask_open = ask_open or self._open_dialog
        self._movie: MovieExport | None = None
        self._drag_export = DragExport(start_drag)
        for name, do in (self._file() | self._view() | self._time() | self._tools() | self._help()).items():
            window.menu_actions[name].triggered.connect(do)
        for name, tool, tab in (
            ("profile", window.profile_line, window.profile),
            ("region", window.region_box, window.region),
        ):
            window.menu_actions[name].toggled.connect(lambda on, tool=tool, tab=tab: self._show_tool(on, tool, tab))
        window.menu_actions["second_screen"].toggled.connect(window.second_screen.switch)
        window.grip.drag_started.connect(self._drag)
        self._synchronise_switches()

    def _file(self) -> dict[str, Callable[..., object]]:
        return {
            "connect": self._connect,
            "open": self._open,
            "save_view": self._save_view,
            "save_data": self._save_data,
            "save_movie": self._save_movie,
            "open_in_fiji": lambda: self._open_in("Fiji", lambda file: fiji_command(file, os.environ, Path.home())),
            "open_in_napari": lambda: self._open_in("napari", napari_command),
            "copy": self._copy,
            "sample": self._ask_for_sample,
            "quit": self._window.close,
        }

    def _view(self) -> dict[str, Callable[..., object]]:
        window, view = self._window, self._window.sr.view
        modes = {mode: lambda _=False, mode=mode: window.sr.set_mode(mode) for mode in MODES}
        return modes | {
            "whole": lambda: window.reset_view(),
            "zoom_in": lambda: view.scaleBy((1 / ZOOM, 1 / ZOOM)),
            "zoom_out": lambda: view.scaleBy((ZOOM, ZOOM)),
            "error_map": window.sr.set_error_map,
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
        return {
            "cancel": self._window.cancel,
            "copy_profile": self._copy_profile,
            "save_profile": lambda: self._save_table("Save profile", "-profile.csv", self._profile_csv()),
            "save_trends": lambda: self._save_table("Save trends", "-trends.csv", self._trends_csv()),
            "save_region": lambda: self._save_table("Save region", "-region.csv", self._region_csv()),
        }

    def _help(self) -> dict[str, Callable[..., object]]:
        return {
            "shortcuts": lambda: shortcuts_page(self._window).show(),
            "welcome": lambda: self._window.welcome.show(),
            "about": lambda: about_page(self._window).show(),
        }

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
        here = self._preferences.recall(Target(endpoint or DEFAULT))
        dialog = ConnectDialog(self._window, (here, *self._preferences.recent), self._ask_open)
        dialog.chosen.connect(self.connect_asked)
        dialog.open()

    def _open(self) -> None:
        if path := self._ask_open("Open movie", "", MOVIES):
            self.open_asked.emit(path)

    def _save_view(self) -> None:
        if path := self._path("Save view", ".png", PNG):
            self._try(lambda: save_image(path, self._image()), f"Saved {path.name}")

    def _save_data(self) -> None:
        pair = self._shown()
        if pair is not None and (path := self._path("Save data", ".ome.tif", TIFF)):
            self._try(lambda: save_data(path, pair), f"Saved {path.name}")

    def _save_movie(self) -> None:
        if self._movie is not None:
            self._window.show_message("A movie is already being saved.")
            return
        if path := self._path("Save movie", "-movie.ome.tif", TIFF):
            self._try(lambda: self._begin_movie(path), f"Saving {path.name} …")

    def _begin_movie(self, path: Path) -> None:
        state = self._window.state
        if state is None:
            return
        self._movie = MovieExport(path, state.history.pairs, state.playhead.marks)
        self._movie.progressed.connect(lambda done, of: self._window.show_message(f"Saving window {done} of {of} …"))
        self._movie.ended.connect(self._movie_ended)
        self._movie.start()

    def _movie_ended(self, text: str) -> None:
        self._movie = None
        self._window.show_message(text)

    def stop(self) -> None:
        """Remove unfinished files, and files made only for dragging."""
        if self._movie is not None:
            self._movie.abort()
            self._movie = None
        self._drag_export.clear()

    def _drag(self) -> None:
        if (pair := self._shown()) is not None:
            self._try(
                lambda: self._drag_export.drag(self._window.grip, pair.sr, self._sample()),
                f"Window {pair.window[1]} exported.",
            )

    def _copy(self) -> None:
        if self._shown() is not None:
            QtWidgets.QApplication.clipboard().setImage(self._image())
            self._window.show_message("View copied to the clipboard.")

    def _open_in(self, program: str, command_for: Callable[[Path], tuple[str, ...] | None]) -> None:
        if (pair := self._shown()) is not None:
            self._try(
                lambda: self._start(program, command_for, pair), f"Opening window {pair.window[1]} in {program} …"
            )

    def _start(self, program: str, command_for: Callable[[Path], tuple[str, ...] | None], pair: Pair) -> None:
        command = command_for(self._drag_export.write(pair.sr, self._sample()))
        if command is None or not QtCore.QProcess.startDetached(command[0], list(command[1:]))[0]:
            raise InputError(f"{program} was not found", hint=NOT_FOUND[program])

    def _copy_profile(self) -> None:
        if table := self._profile_csv():
            QtWidgets.QApplication.clipboard().setText(table)
            self._window.show_message("Profile copied to the clipboard.")

    def _save_table(self, title: str, suffix: str, table: str) -> None:
        if table and (path := self._path(title, suffix, CSV)):
            self._try(lambda: save_text(path, table), f"Saved {path.name}")

    def _profile_csv(self) -> str:
        pair, ends = self._shown(), self._window.profile_line.ends
        return "" if pair is None or ends is None else profile_csv(pair, ends, self._window.profile.averaging_width)

    def _region_csv(self) -> str:
        pair, region = self._shown(), self._window.drawn_region
        return "" if pair is None or region is None else region_csv(pair, region)

    def _trends_csv(self) -> str:
        state = self._window.state
        return "" if state is None else trends_csv(state.trend)

    def _image(self) -> QtGui.QImage:
        window, pair = self._window, self._shown()
        if pair is None:
            raise InputError("no picture yet")
        sr = window.sr
        low, high = sr.image.levels
        drawn = f"{sr.colour_description} from {low:.4g} to {high:.4g} {UNIT}, gamma {sr.controls.contrast.gamma:g}"
        figure = Figure(
            caption(pair, self._sample()),
            sr.image.table if sr.mode != "time" else None,
            (low, high),
            "; ".join(filter(None, (drawn, *sr.legends))),
        )
        return view_image(sr, pair, figure)

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

    def _shown(self) -> Pair | None:
        return self._window.state.shown if self._window.state else None

    def _sample(self) -> str:
        """Name of the sample: the one the user has given, else that of the recording played back."""
        state = self._window.state
        source = state.info.source if state is not None and state.info is not None else ""
        return self._preferences.sample or sample_of(source)

    def _ask_for_sample(self) -> None:
        text, done = self._ask_text("Sample name", "Name of the sample, for the names of saved files:", self._sample())
        if done:
            self._preferences.sample = text.strip()

    def _ask_text(self, title: str, label: str, text: str) -> tuple[str, bool]:
        line = QtWidgets.QLineEdit.EchoMode.Normal
        return QtWidgets.QInputDialog.getText(self._window, title, label, line, text)

    def _path(self, title: str, suffix: str, kind: str) -> Path | None:
        pair = self._shown()
        chosen = self._ask_save(title, file_stem(pair.sr, self._sample()) + suffix, kind) if pair is not None else ""
        return Path(chosen) if chosen else None

    def _try(self, do: Callable[[], object], done: str) -> None:
        """Run a command and report success or the reason of its failure."""
        try:
            do()
        except InputError as error:
            self._window.show_message(str(error))
        else:
            self._window.show_message(done)

    def _save_dialog(self, title: str, name: str, kind: str) -> str:
        return QtWidgets.QFileDialog.getSaveFileName(self._window, title, name, kind)[0]

    def _open_dialog(self, title: str, name: str, kind: str) -> str:
        return QtWidgets.QFileDialog.getOpenFileName(self._window, title, name, kind)[0]
