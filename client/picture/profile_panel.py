"""Panel of the line profile: both pictures in one plot, each normalised, with its width."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6 import QtWidgets

from client.picture.field import field_of
from client.picture.pictures import Pair
from client.picture.profile import Point, Profile, profiles, width_text
from client.trust.plots import plain_plot, restyle_plot
from client.widgets.labels import named_label
from client.widgets.theme import theme
from selfstorm.frames import Array

HINT = "Choose Tools > Line profile (P) to draw a line on the picture; drag the line or its ends."


class ProfilePanel(QtWidgets.QWidget):
    """Plot of the line profile; solid: super-resolved, dashed: raw mean."""

    def __init__(self) -> None:
        super().__init__()
        self.sr_width = named_label("value", HINT, wrap=True)
        self.raw_width = named_label("dim")
        self.plot = plain_plot()
        self.sr = self.plot.plot()
        self.raw = self.plot.plot()
        self.plot.setYRange(0, 1.05, padding=0)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(2)
        column.addWidget(self.sr_width)
        column.addWidget(self.raw_width)
        column.addWidget(self.plot, 1)
        self.restyle()

    def restyle(self) -> None:
        """Apply the application's theme."""
        colours = theme()
        restyle_plot(self.plot)
        self.sr.setPen(pg.mkPen(colours.warning, width=2))
        self.raw.setPen(pg.mkPen(colours.dim, width=1.5, dash=[4, 3]))

    def show_line(self, pair: Pair | None, ends: tuple[Point, Point] | None) -> None:
        """Measure along a line; without one, explain how to draw one."""
        if pair is None or ends is None:
            self.sr_width.setText(HINT)
            self.raw_width.setText("")
            self.sr.setData([], [])
            self.raw.setData([], [])
            return
        unit = field_of(pair).unit
        sr, raw = profiles(pair, *ends)
        self.sr.setData(sr.distance, _from_0_to_1(sr))
        self.sr_width.setText(width_text("—  super-resolved", sr, unit))
        self.raw.setData([] if raw is None else raw.distance, [] if raw is None else _from_0_to_1(raw))
        self.raw_width.setText("" if raw is None else width_text("- -  raw mean", raw, unit))
        self.plot.setLabel("bottom", f"Distance ({unit})", color=theme().dim)
        self.plot.setXRange(0, float(sr.distance[-1]), padding=0.01)


def _from_0_to_1(profile: Profile) -> Array:
    low, high = float(profile.values.min()), float(profile.values.max())
    shares: Array = (profile.values - low) / ((high - low) or 1.0)
    return shares
