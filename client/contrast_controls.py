"""The strip over a picture: its title, colour map, automatic contrast or two locked levels."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6 import QtCore, QtWidgets

from client.colour_maps import NAMES, lookup_table
from client.contrast import Contrast
from client.labels import named_label
from selfstorm.frames import Array

LEVEL_WIDTH_PX = 104


class ContrastControls(QtWidgets.QWidget):
    """Emits `changed` when the picture must be drawn anew. Typing a level locks both."""

    changed = QtCore.Signal()

    def __init__(self, title: str, colours: str) -> None:
        super().__init__()
        self.contrast = Contrast()
        self.colours = QtWidgets.QComboBox()
        self.colours.addItems(NAMES)
        self.colours.setCurrentText(colours)
        self.colours.setToolTip("Colour map")
        self.auto = QtWidgets.QPushButton("Auto")
        self.auto.setCheckable(True)
        self.auto.setChecked(True)
        self.auto.setToolTip("Contrast follows each picture; off keeps the levels for all pictures to come")
        self.low = _level_box(0.0, "Drawn darkest; typing here locks the contrast")
        self.high = _level_box(1.0, "Drawn brightest; typing here locks the contrast")
        self.colours.currentTextChanged.connect(lambda _: self.changed.emit())
        self.auto.toggled.connect(self._set_auto)
        for box in (self.low, self.high):
            box.sigValueChanged.connect(self._lock)
        self._lay_out(title)

    def _lay_out(self, title: str) -> None:
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(6, 2, 6, 2)
        row.addWidget(named_label("title", title))
        row.addStretch(1)
        parts = (
            self.colours,
            QtWidgets.QLabel("Contrast"),
            self.auto,
            self.low,
            QtWidgets.QLabel("to"),
            self.high,
        )
        for part in parts:
            row.addWidget(part)

    def table(self) -> Array:
        """(256, 3) uint8, the chosen colour map."""
        return lookup_table(self.colours.currentText())

    def levels_for(self, pixels: Array) -> tuple[float, float]:
        """Levels to draw a picture with; automatic ones are shown in the boxes."""
        low, high = self.contrast.levels(pixels)
        if self.contrast.auto:
            for box, value in ((self.low, low), (self.high, high)):
                with QtCore.QSignalBlocker(box):
                    box.setValue(value)
        return low, high

    def _lock(self, *_: object) -> None:
        self.contrast = Contrast(auto=False, low=self.low.value(), high=self.high.value())
        with QtCore.QSignalBlocker(self.auto):
            self.auto.setChecked(False)
        self.changed.emit()

    def _set_auto(self, auto: bool) -> None:
        self.contrast = Contrast(auto=auto, low=self.low.value(), high=self.high.value())
        self.changed.emit()


def _level_box(value: float, tip: str) -> pg.SpinBox:
    box = pg.SpinBox(value=value, decimals=5, dec=True, step=0.1, minStep=1e-9, compactHeight=False)
    box.setFixedWidth(LEVEL_WIDTH_PX)
    box.setToolTip(tip)
    return box
