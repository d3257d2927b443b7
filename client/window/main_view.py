"""Large picture: super-resolved, split, overlay, or colour-coded time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyqtgraph as pg
from PySide6 import QtCore, QtWidgets

from client.picture.badge import Badge
from client.picture.field import PictureField
from client.picture.grade import grade_explanation, grade_level, grade_text, picture_title
from client.picture.map_overlay import ERROR, TRUST, MapOverlay
from client.picture.overview import Overview
from client.picture.panel import PicturePanel
from client.picture.picture_item import PictureItem
from client.picture.pictures import Picture, PicturePair
from client.picture.time_code import DEFAULT_WINDOWS, MAX_WINDOWS
from client.picture.time_overlay import TimeOverlay
from client.widgets.buttons import DrawnButton
from client.widgets.theme import THEMES, theme
from selfstorm.frames import Array

MODES = {
    "single": "Super-resolved only",
    "split": "Split: raw mean to the left of a line you can drag",
    "overlay": "Overlay: super-resolved picture added to the raw mean",
    "time": "Colour-coded time: the last windows in one picture, coloured by time",
}
SLIDER_WIDTH_PX = 70
ON_PICTURE = THEMES["dark"]  # the badge has a dark ground in both themes


class MainView(PicturePanel):
    """Picture panel with display modes and overlays.

    It can show a second picture of the same field.

    Signals: `mode_changed` with one of MODES, `windows_changed` when the number of windows to colour-code changes.
    """

    mode_changed = QtCore.Signal(str)
    windows_changed = QtCore.Signal()

    def __init__(self) -> None:
        self.buttons: dict[str, DrawnButton] = {}
        super().__init__("Super-resolved", "fire")
        self.mode = "single"
        self.raw_item = PictureItem(self.view)
        self.raw_item.setZValue(-10)
        self.raw_item.hide()
        self.view.addItem(self.raw_item, ignoreBounds=True)
        self.badge, self.overview = Badge(self.view), Overview(self.view)
        self.error_overlay, self.trust_overlay = MapOverlay(self.view, ERROR), MapOverlay(self.view, TRUST)
        self.time_overlay = TimeOverlay(self.view)
        self.split_line = pg.InfiniteLine(
            angle=90,
            movable=True,
            label="raw | super-resolved",
            labelOpts={"position": 0.97, "fill": (0, 0, 0, 150), "color": "w"},
        )
        self.split_line.setPen(pg.mkPen("w", width=1.5))
        self.split_line.setHoverPen(pg.mkPen(theme().preview, width=3))
        self.split_line.setZValue(800)
        self.split_line.hide()
        self.split_line.sigPositionChanged.connect(self._arrange)
        self.view.addItem(self.split_line, ignoreBounds=True)
        self.raw_brightness = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self.raw_brightness.setRange(0, 100)
        self.raw_brightness.setValue(60)
        self.raw_brightness.setToolTip("Brightness of the raw mean in the overlay")
        self.raw_brightness.setFixedWidth(SLIDER_WIDTH_PX)
        self.raw_brightness.valueChanged.connect(self._arrange)
        self.raw_brightness.hide()
        self.window_count = QtWidgets.QSpinBox(minimum=2, maximum=MAX_WINDOWS, value=DEFAULT_WINDOWS)
        self.window_count.setToolTip("Number of windows in one picture, as far as they are in memory")
        self.window_count.valueChanged.connect(self.windows_changed)
        self.window_count.hide()
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
        self.header.insertWidget(2 + len(MODES), self.raw_brightness)
        self.header.insertWidget(3 + len(MODES), self.window_count)
        self.header.insertSpacing(4 + len(MODES), 12)

    def set_mode(self, mode: str) -> None:
        """Change the display mode."""
        self.mode = mode
        self.buttons[mode].setChecked(True)
        self._arrange()
        self.mode_changed.emit(mode)

    def show_raw_below(self, picture: Picture | None, raw: PictureItem) -> None:
        """Set the raw mean of the same window, drawn as in its own panel."""
        if picture is not None and raw.table is not None and self.field is not None:
            self.raw_item.show_pixels(picture.pixels, raw.levels, raw.table, self.field)
        else:
            self.raw_item.pixels = None
        self._arrange()

    def show_grade(self, pair: PicturePair | None) -> None:
        """Show on the picture how it was computed."""
        if pair is None:
            self.badge.show_text("", "white", "", None)
            return
        self.title.setText(picture_title(pair))
        colour = ON_PICTURE.preview if pair.sr.preview else ON_PICTURE.level(grade_level(pair))
        self.badge.show_text(grade_text(pair), colour, grade_explanation(pair), self.field)

    def show_stale(self, reason: str) -> None:
        """Mark the picture as stale and say why, with the badge below the mark."""
        super().show_stale(reason)
        self._place_badge()

    @contextmanager
    def unmarked(self) -> Iterator[None]:
        """Draw the picture as if it were not stale, with the badge at its corner."""
        self.badge.keep_below(0)
        with super().unmarked():
            yield
        self._place_badge()

    def _place_badge(self) -> None:
        self.badge.keep_below(self.banner.sizeHint().height() if self.banner.text() else 0)

    def show_maps(self, pair: PicturePair) -> None:
        """Set error and trust map of the same window, where it has them."""
        self.error_overlay.set_map(pair.error, self.field)
        self.trust_overlay.set_map(pair.trust, self.field)
        self._arrange()

    def set_maps(self, *, error: bool, trust: bool) -> None:
        """Show or hide error and trust map.

        The picture below them is drawn grey so that its colours are not mistaken for theirs.
        """
        self.error_overlay.on, self.trust_overlay.on = error, trust
        self._arrange()
        self._draw()

    @property
    def mapped(self) -> bool:
        """True while a map is switched on."""
        return self.error_overlay.on or self.trust_overlay.on

    def show_time(self, pairs: tuple[PicturePair, ...]) -> None:
        """Set the windows to draw in one picture, oldest first.

        There are none where time is not colour-coded.
        """
        if pairs != self.time_overlay.pairs:
            self.time_overlay.pairs = pairs
            self._draw_time()

    @property
    def colour_description(self) -> str:
        """Colours of the picture, in words."""
        name = self.controls.colours.currentText()
        return "colour-coded time" if self.mode == "time" else "grey" if self.mapped else name

    @property
    def legends(self) -> tuple[str, ...]:
        """Texts of the legends on the picture."""
        return tuple(one.legend.text for one in (self.error_overlay, self.trust_overlay, self.time_overlay))

    def _table(self) -> Array:
        return self.controls.table("grey" if self.mapped else "")

    def clear(self) -> None:
        """Remove the picture."""
        super().clear()
        self.overview.clear()

    def _draw(self) -> None:
        super()._draw()
        if self.picture is not None and self.field is not None and self.image.table is not None:
            self.overview.show_picture(self.picture, self.image.levels, self.image.table, self.field)
        self._draw_time()

    def _draw_time(self) -> None:
        self.time_overlay.draw(self.controls.contrast, self.field)
        self.image.covered = bool(self.time_overlay.pairs)

    def restyle(self) -> None:
        """Apply the application's theme."""
        super().restyle()
        for button in self.buttons.values():
            button.restyle()

    def _set_field(self, field: PictureField) -> None:
        super()._set_field(field)
        self.split_line.setBounds((0, field.width))
        self.split_line.setValue(field.width / 2)

    def _arrange(self, *_: object) -> None:
        available = self.raw_item.pixels is not None
        split, added = self.mode == "split" and available, self.mode == "overlay" and available
        self.raw_item.setVisible(split or added)
        self.raw_item.setOpacity(self.raw_brightness.value() / 100 if added else 1.0)
        self.split_line.setVisible(split)
        self.raw_brightness.setVisible(self.mode == "overlay")
        self.window_count.setVisible(self.mode == "time")
        self.controls.colours.setVisible(self.mode != "time")
        self.controls.colours.setEnabled(not self.mapped)
        cut = self.split_line.value() if split else None
        self.image.show_part(cut, added=added)
        preview = self.picture is not None and self.picture.preview
        for overlay in (self.error_overlay, self.trust_overlay):
            overlay.arrange(cut, preview=preview, wanted=self.mode != "time")
