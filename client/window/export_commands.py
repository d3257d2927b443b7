"""Commands that bring pictures and measurements out of the window.

They go to files, the clipboard and other programs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from client.export.csv_export import save_text
from client.export.drag_export import DragExport, StartDrag
from client.export.drawn_movie import DRAWN_ENDINGS, Drawing
from client.export.file_names import caption, file_stem, movie_stem, sample_of
from client.export.measurements import profile_csv, region_csv, trends_csv
from client.export.movie_export import MovieExport, save_data
from client.export.png_export import Figure, save_image, view_image
from client.export.programs import fiji_command, napari_command
from client.picture.colour_maps import lookup_table
from client.picture.pictures import PicturePair
from client.window.main_window import ViewerWindow
from client.window.preferences import Preferences
from selfstorm.errors import InputError

PNG, TIFF, CSV = "PNG picture (*.png)", "OME-TIFF (*.ome.tif)", "Table (*.csv)"
MOVIE = f"{TIFF};;MP4 film as drawn (*.mp4);;Animated GIF as drawn (*.gif)"
SAVE_MOVIE = "Save movie as OME-TIFF, MP4 or GIF"
NOT_FOUND = {
    "Fiji": "set the environment variable FIJI to its program, or drag the handle in the tool bar into it",
    "napari": 'pip install "napari[all]", or drag the handle in the tool bar into it',
}

AskPath = Callable[[str, str, str], str]


class ExportCommands(QtCore.QObject):
    """Commands that save, copy or hand over what is shown.

    Args:
        window: Window whose actions are connected.
        preferences: What is remembered between sessions.
        ask_save: (title, proposed name, filter) -> path, empty for none; Qt's own dialog unless given.
        start_drag: Starts the drag of a file; Qt's own unless given.
    """

    def __init__(
        self,
        window: ViewerWindow,
        preferences: Preferences,
        ask_save: AskPath | None = None,
        start_drag: StartDrag | None = None,
    ) -> None:
        super().__init__()
        self._window, self._preferences = window, preferences
        self._ask_save = ask_save or self._save_dialog
        self.movie: MovieExport | None = None
        self._drag_export = DragExport(start_drag)
        for name, do in (self._pictures() | self._tables()).items():
            window.menu_actions[name].triggered.connect(do)
        window.grip.drag_started.connect(self._drag)

    def _pictures(self) -> dict[str, Callable[..., object]]:
        return {
            "save_view": self._save_view,
            "save_data": self._save_data,
            "save_movie": self._save_movie,
            "open_in_fiji": lambda: self._open_in("Fiji", lambda file: fiji_command(file, os.environ, Path.home())),
            "open_in_napari": lambda: self._open_in("napari", napari_command),
            "copy": self._copy,
            "sample": self._ask_for_sample,
        }

    def _tables(self) -> dict[str, Callable[..., object]]:
        return {
            "copy_profile": self._copy_profile,
            "save_profile": lambda: self._save_table("Save profile", "-profile.csv", self._profile_csv()),
            "save_trends": lambda: self._save_table("Save trends", "-trends.csv", self._trends_csv()),
            "save_region": lambda: self._save_table("Save region", "-region.csv", self._region_csv()),
        }

    def _save_view(self) -> None:
        if self._shown() is None:
            return
        image = self._image()  # before the dialog, which names it; newer windows may come while it is open
        if path := self._path("Save view", ".png", PNG):
            self._try(lambda: save_image(path, image), f"Saved {path.name}")

    def _save_data(self) -> None:
        pair = self._shown()
        if pair is not None and (path := self._path("Save data", ".ome.tif", TIFF)):
            self._try(lambda: save_data(path, pair), f"Saved {path.name}")

    def _save_movie(self) -> None:
        if self.movie is not None:
            self._window.show_message("A movie is already being saved.")
            return
        state = self._window.state
        if state is None or state.shown is None:
            return
        used = "fits all windows" if self._window.sr.controls.contrast.auto else "locked"
        pairs = state.history.pairs  # before the dialog: newer windows may come while it is open
        name = f"{movie_stem(pairs, self._sample())}-movie.ome.tif"
        if chosen := self._ask_save(f"{SAVE_MOVIE}; contrast of MP4 and GIF: {used}", name, MOVIE):
            path = _without_ome(Path(chosen))
            self._try(lambda: self._begin_movie(path, pairs), f"Saving {path.name} …")

    def _begin_movie(self, path: Path, pairs: tuple[PicturePair, ...]) -> None:
        marks = self._window.state.playhead.marks if self._window.state else ()
        sr = self._window.sr
        table = lookup_table("grey") if sr.image.table is None else sr.image.table
        self.movie = MovieExport(path, pairs, marks, Drawing(table, sr.controls.contrast, self._sample()))
        self.movie.progressed.connect(self._window.show_message)
        self.movie.ended.connect(self._movie_ended)
        self.movie.start()

    def _movie_ended(self, text: str) -> None:
        self.movie = None
        self._window.show_message(text)

    def stop(self) -> None:
        """Remove unfinished files, and files made only for dragging."""
        if self.movie is not None:
            self.movie.abort()
            self.movie = None
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

    def _start(self, program: str, command_for: Callable[[Path], tuple[str, ...] | None], pair: PicturePair) -> None:
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
        drawn = (
            f"{sr.colour_description} from {low:.4g} to {high:.4g} {pair.sr.unit}, gamma {sr.controls.contrast.gamma:g}"
        )
        figure = Figure(
            caption(pair, self._sample()),
            sr.image.table if sr.mode != "time" else None,
            (low, high),
            pair.sr.unit,
            "; ".join(filter(None, (drawn, *sr.legends))),
        )
        with window.crosshair.hidden():
            return view_image(sr, pair, figure)

    def _sample(self) -> str:
        """Name of the sample: the user's, else that of the recording.

        The recording is the one played back.
        """
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

    def _shown(self) -> PicturePair | None:
        return self._window.state.shown if self._window.state else None


def _without_ome(path: Path) -> Path:
    """Shorten the '.ome.mp4' that a dialog makes of '.ome.tif'.

    It stays where the shorter name exists: the dialog has not asked whether to replace that file.
    """
    shorter = path.with_name(f"{path.name.removesuffix(path.suffix).removesuffix('.ome')}{path.suffix}")
    return shorter if path.suffix.lower() in DRAWN_ENDINGS and not shorter.exists() else path
