"""The large picture: super-resolved alone, split against the raw mean by a line to drag, or laid over it."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6 import QtCore, QtWidgets

from client.picture.error_overlay import ErrorOverlay
from client.picture.field import PictureField
from client.picture.field_item import FieldItem
from client.picture.panel import PicturePanel
from client.picture.pictures import Pair, Picture
from client.picture.time_code import MOST_WINDOWS, USUAL_WINDOWS
from client.picture.time_overlay import TimeOverlay
from client.widgets.buttons import DrawnButton
from client.widgets.theme import theme
from selfstorm.frames import Array

MODES = {
    "single": "Super-resolved alone",
    "split": "Split: the raw mean left of a line that you drag",
    "overlay": "Overlay: super-resolved light added to the raw mean",
    "time": "Colour-coded time: the last windows in one picture, the colour says when",
}
SLIDER_WIDTH_PX = 70


class MainView(PicturePanel):
    """A picture panel with a second picture of the same field below the first. mode_changed: one of MODES.

    windows_changed: another number of windows is to be colour-coded.
    """

    mode_changed = QtCore.Signal(str)
    windows_changed = QtCore.Signal()

    def __init__(self) -> None:
        self.buttons: dict[str, DrawnButton] = {}
        super().__init__("Super-resolved", "fire")
        self.mode = "single"
        self.under = FieldItem(self.view)
        self.under.setZValue(-10)
        self.under.hide()
        self.view.addItem(self.under, ignoreBounds=True)
        self.error, self.time = ErrorOverlay(self.view), TimeOverlay(self.view)
        self.line = pg.InfiniteLine(
            angle=90,
            movable=True,
            label="raw | super-resolved",
            labelOpts={"position": 0.97, "fill": (0, 0, 0, 150), "color": "w"},
        )
        self.line.setPen(pg.mkPen("w", width=1.5))
        self.line.setHoverPen(pg.mkPen(theme().preview, width=3))
        self.line.setZValue(800)
        self.line.hide()
        self.line.sigPositionChanged.connect(self._arrange)
        self.view.addItem(self.line, ignoreBounds=True)
        self.light = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self.light.setRange(0, 100)
        self.light.setValue(60)
        self.light.setToolTip("How bright the raw mean is below the super-resolved picture")
        self.light.setFixedWidth(SLIDER_WIDTH_PX)
        self.light.valueChanged.connect(self._arrange)
        self.light.hide()
        self.windows = QtWidgets.QSpinBox(minimum=2, maximum=MOST_WINDOWS, value=USUAL_WINDOWS)
        self.windows.setToolTip("How many windows are drawn in one picture, as far as they are kept")
        self.windows.valueChanged.connect(self.windows_changed)
        self.windows.hide()
        self._add_modes()

    def _add_modes(self) -> None:
        self.modes = QtWidgets.QButtonGroup(self)
        for place, (mode, tip) in enumerate(MODES.items()):
            button = DrawnButton(mode, tip, checkable=True, flat=True)
            button.setChecked(mode == self.mode)
            button.clicked.connect(lambda _=False, mode=mode: self.set_mode(mode))
            self.modes.addButton(button)
            self.buttons[mode] = button
            self.header.insertWidget(2 + place, button)
        self.header.insertWidget(2 + len(MODES), self.light)
        self.header.insertWidget(3 + len(MODES), self.windows)
        self.header.insertSpacing(4 + len(MODES), 12)

    def set_mode(self, mode: str) -> None:
        """Show it in another way."""
        self.mode = mode
        self.buttons[mode].setChecked(True)
        self._arrange()
        self.mode_changed.emit(mode)

    def show_under(self, picture: Picture | None, raw: FieldItem) -> None:
        """The raw mean of the same window, drawn as its own panel draws it."""
        if picture is not None and raw.table is not None and self.field is not None:
            self.under.show_pixels(picture.pixels, raw.levels, raw.table, self.field)
        else:
            self.under.pixels = None
        self._arrange()

    def show_error(self, picture: Picture | None) -> None:
        """The error map of the same window, where it has one."""
        self.error.take(picture, self.field)
        self._arrange()

    def set_error_map(self, on: bool) -> None:
        """Lay the error map over the picture, which is then drawn grey: its colours must not be taken for the map's."""
        self.error.on = on
        self._arrange()
        self._draw()

    def show_time(self, pairs: tuple[Pair, ...]) -> None:
        """The windows to draw in one picture, oldest first; none where time is not colour-coded."""
        if pairs != self.time.pairs:
            self.time.pairs = pairs
            self._draw_time()

    @property
    def drawn(self) -> str:
        """In which colours the picture is drawn, in words."""
        name = self.controls.colours.currentText()
        return "colour-coded time" if self.mode == "time" else "grey" if self.error.on else name

    @property
    def legends(self) -> tuple[str, ...]:
        """What the legends on the picture say."""
        return self.error.legend.text, self.time.legend.text

    def _table(self) -> Array:
        return self.controls.table("grey" if self.error.on else "")

    def _draw(self) -> None:
        super()._draw()
        self._draw_time()

    def _draw_time(self) -> None:
        self.time.draw(self.controls.contrast, self.field)
        self.image.covered = bool(self.time.pairs)

    def restyle(self) -> None:
        """Take on the application's look."""
        super().restyle()
        for button in self.buttons.values():
            button.restyle()

    def _take_field(self, field: PictureField) -> None:
        super()._take_field(field)
        self.line.setBounds((0, field.width))
        self.line.setValue(field.width / 2)

    def _arrange(self, *_: object) -> None:
        there = self.under.pixels is not None
        split, overlay = self.mode == "split" and there, self.mode == "overlay" and there
        self.under.setVisible(split or overlay)
        self.under.setOpacity(self.light.value() / 100 if overlay else 1.0)
        self.line.setVisible(split)
        self.light.setVisible(self.mode == "overlay")
        self.windows.setVisible(self.mode == "time")
        self.controls.colours.setVisible(self.mode != "time")
        self.controls.colours.setEnabled(not self.error.on)
        cut = self.line.value() if split else None
        self.image.show_part(cut, added=overlay)
        preview = self.picture is not None and self.picture.preview
        self.error.arrange(cut, preview=preview, wanted=self.mode != "time")
