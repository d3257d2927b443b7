"""Controls above a picture: colour map, contrast, further options.

The contrast is automatic or locked.
"""

from __future__ import annotations

import math
from dataclasses import replace

from PySide6 import QtCore, QtWidgets

from client.picture.colour_maps import NAMES, lookup_table
from client.picture.contrast import Contrast
from client.picture.contrast_menu import ContrastMenu
from client.picture.histogram import histogram_of
from client.widgets.buttons import DrawnButton
from client.widgets.labels import named_label
from selfstorm.frames import Array

LEVEL_WIDTH_PX = 68


class ContrastControls(QtWidgets.QWidget):
    """Controls that emit `changed` when the picture must be redrawn.

    Typing a level locks both levels.
    """

    changed = QtCore.Signal()

    def __init__(self, colours: str) -> None:
        super().__init__()
        self.contrast = Contrast()
        self._pixels: Array | None = None
        self._levels = (0.0, 1.0)
        self.colours = QtWidgets.QComboBox()
        self.colours.addItems(NAMES)
        self.colours.setCurrentText(colours)
        self.colours.setToolTip("Colour map")
        self.auto = QtWidgets.QPushButton("Auto")
        self.auto.setCheckable(True)
        self.auto.setChecked(True)
        self.auto.setToolTip("Automatic contrast for each picture; switch off to lock the levels")
        self.low = LevelBox("Minimum of the display range; typing here locks the contrast")
        self.high = LevelBox("Maximum of the display range; typing here locks the contrast")
        self.menu = ContrastMenu(self.contrast)
        self.more = DrawnButton(
            "contrast", "Display options: histogram, percentiles of the automatic contrast, gamma, invert", flat=True
        )
        self.more.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(self.menu)
        self.colours.currentTextChanged.connect(lambda _: self.changed.emit())
        self.auto.toggled.connect(lambda auto: self.change(auto=auto, low=self.low.value(), high=self.high.value()))
        self.menu.aboutToShow.connect(self._count)
        self.menu.changed.connect(lambda values: self.change(**values))
        for box in (self.low, self.high):
            box.typed.connect(lambda: self.change(auto=False, low=self.low.value(), high=self.high.value()))
        self.unit = named_label("dim", "")
        self._lay_out()

    def _lay_out(self) -> None:
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for part in (self.colours, self.auto, self.low, QtWidgets.QLabel("–"), self.high, self.unit, self.more):
            row.addWidget(part)

    def restyle(self) -> None:
        """Apply the application's theme."""
        self.more.restyle()

    def table(self, colours: str = "") -> Array:
        """Return the lookup table of a colour map, with gamma and inversion.

        By default it is the chosen one.
        """
        name = colours or self.colours.currentText()
        return lookup_table(name, self.contrast.gamma, invert=self.contrast.invert)

    def levels_for(self, pixels: Array, unit: str) -> tuple[float, float]:
        """Return the levels to draw a picture with, which are in its unit.

        Automatic levels are shown in the boxes.
        """
        self._pixels = pixels
        self.unit.setText(unit)
        low, high = self.contrast.levels(pixels)
        self._levels = low, high
        if self.menu.isVisible():
            self._count()
        if self.contrast.auto:
            self.low.show_value(low)
            self.high.show_value(high)
        return low, high

    def _count(self) -> None:
        """Bring the histogram up to date; it is counted only while it is visible."""
        histogram = None if self._pixels is None else histogram_of(self._pixels, self._levels)
        self.menu.show_histogram(histogram, self._levels)

    def change(self, **values: float | bool) -> None:
        """Change some values of the contrast and redraw."""
        self.contrast = replace(self.contrast, **values)  # type: ignore[arg-type]  # names checked by replace itself
        with QtCore.QSignalBlocker(self.auto):
            self.auto.setChecked(self.contrast.auto)
        self.low.show_value(self.contrast.low)
        self.high.show_value(self.contrast.high)
        self.menu.show_contrast(self.contrast)
        self.changed.emit()


class LevelBox(QtWidgets.QLineEdit):
    """Input for a number.

    `typed` is emitted with a valid number; anything else is reset.
    """

    typed = QtCore.Signal()

    def __init__(self, tip: str) -> None:
        super().__init__()
        self._value = 0.0
        self.setFixedWidth(LEVEL_WIDTH_PX)
        self.setAlignment(QtCore.Qt.AlignmentFlag.AlignRight)
        self.setToolTip(tip)
        self.editingFinished.connect(self._take)

    def value(self) -> float:
        """Return the number in full precision."""
        return self._value

    def show_value(self, value: float) -> None:
        """Show a number, unless the user is typing one."""
        self._value = value
        if not (self.hasFocus() and self.isModified()):
            self.setText(short_number(value))

    def set_value(self, value: float) -> None:
        """Set the number as if the user had typed it."""
        self.setText(repr(value))
        self.setModified(True)
        self._take()

    def _take(self) -> None:
        if not self.isModified():
            return
        self.setModified(False)
        number = typed_number(self.text())
        if number is None:
            self.setText(short_number(self._value))
            return
        self._value = number
        self.typed.emit()


def short_number(value: float) -> str:
    """Format a number with four digits.

    Whole numbers up to a million have no exponent, which would not fit.
    """
    return f"{value:.0f}" if 1_000 <= abs(value) < 1_000_000 else f"{value:.4g}"


def typed_number(text: str) -> float | None:
    """Parse a number with a decimal point or comma; None where it is invalid."""
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
