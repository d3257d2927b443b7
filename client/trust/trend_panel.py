"""How it went, window by window: misfit, latency, emitters per frame, skipped windows, and what is estimated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtGui, QtWidgets

from client.trust.plots import plain_plot, restyle_plot
from client.trust.trends import Sample
from client.widgets.labels import named_label
from client.widgets.theme import theme
from selfstorm.frames import Array

TITLES = {
    "misfit": "Misfit (%)",
    "latency": "Latency (s):  — refined,  - - preview",
    "emitters": "Emitters per frame",
    "skipped": "Windows skipped, in all",
}
ESTIMATES = {"resolution": "Estimated resolution (nm)", "agreement": "Agreement with the raw mean"}


class TrendPanel(QtWidgets.QWidget):
    """Small plots over the number of windows shown; made and drawn only when they are looked at.

    Those of what the daemon need not estimate come with the first estimate.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plots: dict[str, Any] = {}
        self.curves: dict[str, Any] = {}
        self._shown: tuple[Sample, ...] | None = None
        self._grid = QtWidgets.QGridLayout(self)
        self._grid.setContentsMargins(4, 4, 4, 4)
        self._grid.setSpacing(2)

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        """Somebody looks."""
        super().showEvent(event)
        if not self.plots:
            self._make_plots()

    def _make_plots(self) -> None:
        for name, title in TITLES.items():
            self._make_plot(name, title)
        self.curves["preview"] = self.plots["latency"].plot()
        self.plots["skipped"].getViewBox().setLimits(yMin=0, minYRange=1)
        self.restyle()

    def _make_plot(self, name: str, title: str) -> None:
        row, column = 2 * (len(self.plots) // 2), len(self.plots) % 2
        plot = self.plots[name] = plain_plot()
        self.curves[name] = plot.plot()
        self._grid.addWidget(named_label("caption", title), row, column)
        self._grid.addWidget(plot, row + 1, column)
        self._grid.setRowStretch(row + 1, 1)

    def restyle(self) -> None:
        """Take on the application's look."""
        colours = theme()
        for plot in self.plots.values():
            restyle_plot(plot)
        for name, curve in self.curves.items():
            dashed = name == "preview"
            pen = pg.mkPen(colours.dim, width=1.5, dash=[4, 3]) if dashed else pg.mkPen(colours.good, width=1.5)
            curve.setPen(pen)

    def show_trend(self, trend: tuple[Sample, ...]) -> None:
        """Bring the plots up to date, if anybody looks at them."""
        if trend is self._shown or not self.isVisible():
            return
        self._shown = trend
        windows = np.array([one.number for one in trend], float)
        self._draw("misfit", windows, _values(trend, "misfit", 100))
        self._draw("latency", windows, _values(trend, "refined_ms", 1e-3))
        self._draw("preview", windows, _values(trend, "preview_ms", 1e-3))
        self._draw("emitters", windows, _values(trend, "emitters_per_frame", 1))
        self._draw("skipped", windows, _values(trend, "skipped", 1))
        self._draw_estimate("resolution", windows, _values(trend, "resolution_nm", 1))
        self._draw_estimate("agreement", windows, _values(trend, "agreement", 1))

    def _draw_estimate(self, name: str, windows: Array, values: Array) -> None:
        if name not in self.plots:
            if not np.isfinite(values).any():
                return
            self._make_plot(name, ESTIMATES[name])
            self.restyle()
        self._draw(name, windows, values)

    def _draw(self, name: str, windows: Array, values: Array) -> None:
        known = np.isfinite(values)
        self.curves[name].setData(windows[known], values[known])


def _values(trend: tuple[Sample, ...], name: str, factor: float) -> Array:
    given = [getattr(one, name) for one in trend]
    return np.array([np.nan if value is None else factor * value for value in given], float)
