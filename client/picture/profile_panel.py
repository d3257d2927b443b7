"""Panel of the line profile.

Both pictures are in one plot, each normalised, with the width of its peak.
"""

from __future__ import annotations

import pyqtgraph as pg
from PySide6 import QtGui, QtWidgets

from client.picture.field import NM_PER_UM, field_of
from client.picture.pictures import PicturePair
from client.picture.profile import Point, Profile, profiles, width_text
from client.trust.plots import plain_plot, restyle_plot
from client.widgets.buttons import action_button
from client.widgets.labels import named_label
from client.widgets.theme import theme
from selfstorm.frames import Array

HINT = "Choose Tools > Line profile (P), then drag on the picture to draw a line."
MAX_WIDTH_NM, WIDTH_STEP_NM = 5000.0, 25.0
MAX_WIDTH_PX, WIDTH_STEP_PX = 50.0, 0.5


class ProfilePanel(QtWidgets.QWidget):
    """Plot of the line profile; solid: super-resolved, dashed: raw mean.

    `width_changed` is emitted when the user changes the averaging width. actions: shown as a button each.
    """

    def __init__(self, actions: list[QtGui.QAction]) -> None:
        super().__init__()
        self.sr_width = named_label("value", HINT, wrap=True)
        self.raw_width = named_label("dim", wrap=True)
        self.plot = plain_plot()
        self.sr = self.plot.plot()
        self.raw = self.plot.plot()
        self.plot.setYRange(0, 1.05, padding=0)
        self._unit = ""
        self.averaging = QtWidgets.QDoubleSpinBox(decimals=1)
        self.averaging.setToolTip("Width over which the profile is averaged across the line; 0 for the line alone")
        self.width_changed = self.averaging.valueChanged
        self._set_unit("µm")
        row = QtWidgets.QHBoxLayout()
        row.addWidget(named_label("dim", "Average over"))
        row.addWidget(self.averaging)
        row.addStretch(1)
        for action in actions:
            row.addWidget(action_button(action))
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(2)
        column.addWidget(self.sr_width)
        column.addWidget(self.raw_width)
        column.addWidget(self.plot, 1)
        column.addLayout(row)
        self.restyle()

    @property
    def averaging_width(self) -> float:
        """Averaging width in the field's unit."""
        return self.averaging.value() / (NM_PER_UM if self._unit == "µm" else 1.0)

    def restyle(self) -> None:
        """Apply the application's theme."""
        colours = theme()
        restyle_plot(self.plot)
        self.sr.setPen(pg.mkPen(colours.warning, width=2))
        self.raw.setPen(pg.mkPen(colours.dim, width=1.5, dash=[4, 3]))

    def show_line(self, pair: PicturePair | None, ends: tuple[Point, Point] | None) -> None:
        """Measure along a line; without one, explain how to draw one."""
        if pair is None or ends is None:
            self.sr_width.setText(HINT)
            self.raw_width.setText("")
            self.sr.setData([], [])
            self.raw.setData([], [])
            return
        unit = field_of(pair).unit
        self._set_unit(unit)
        sr, raw = profiles(pair, *ends, width=self.averaging_width)
        self.sr.setData(sr.distance, _normalised(sr))
        self.sr_width.setText(width_text("—  super-resolved", sr, unit))
        self.raw.setData([] if raw is None else raw.distance, [] if raw is None else _normalised(raw))
        self.raw_width.setText("" if raw is None else width_text("- -  raw mean", raw, unit))
        self.plot.setLabel("bottom", f"Distance ({unit})", color=theme().dim)
        self.plot.setXRange(0, float(sr.distance[-1]), padding=0.01)

    def _set_unit(self, unit: str) -> None:
        """Count the averaging width in nanometres.

        It is counted in camera pixels where their size is unknown.
        """
        if unit == self._unit:
            return
        self._unit = unit
        self.averaging.setValue(0)
        in_nm = unit == "µm"
        self.averaging.setSuffix(" nm" if in_nm else " px")
        self.averaging.setMaximum(MAX_WIDTH_NM if in_nm else MAX_WIDTH_PX)
        self.averaging.setSingleStep(WIDTH_STEP_NM if in_nm else WIDTH_STEP_PX)


def _normalised(profile: Profile) -> Array:
    low, high = float(profile.values.min()), float(profile.values.max())
    shares: Array = (profile.values - low) / ((high - low) or 1.0)
    return shares
