"""Focus and photons in large figures, for those at the microscope."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from client.trust.plots import plain_plot, restyle_plot
from client.trust.trends import Trend
from client.widgets.labels import named_label
from client.widgets.theme import theme
from selfstorm.metrics.finding import Level
from selfstorm.metrics.metric import MetricDescription
from selfstorm.metrics.metric_table import MetricTable

TITLE = "Focus and photons"
KEYS = ("width_nm", "photons", "emitters_per_frame", "background")
JUDGED_BY = {"width_nm": "defocus"}  # value: the metric whose level is its colour
COMPARED = 5  # windows whose medians are compared
MIN_PLOT_PX, LINE_PX = 80, 3


class FocusDock(QtWidgets.QDockWidget):
    """Width of the PSF, photons, density and background over the run.

    It can be taken out of the window and enlarged on another screen.

    Signals: `closed` when its own button closes it.

    Attributes:
        tiles: by the metric's key.
    """

    closed = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__(TITLE)
        self.setObjectName("focus")  # for the window's saved layout
        self.tiles = {key: TrendTile() for key in KEYS}
        self._shown: tuple[Trend, MetricTable[MetricDescription]] | None = None
        body = QtWidgets.QWidget()
        row = QtWidgets.QHBoxLayout(body)
        for tile in self.tiles.values():
            row.addWidget(tile, 1)
        self.setWidget(body)
        self.hide()

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:
        """Report that the dock is closed."""
        super().closeEvent(event)
        self.closed.emit()

    def restyle(self) -> None:
        """Take on the application's colours, with the next trend."""
        self._shown = None

    def show_trend(self, trend: Trend, metrics: MetricTable[MetricDescription]) -> None:
        """Bring the figures up to date, while they are visible."""
        if (trend, metrics) == self._shown or not self.isVisible():
            return
        self._shown = trend, metrics
        known = {metric.key: metric for metric in metrics}
        for key, tile in self.tiles.items():
            if key in known:
                judged = known.get(JUDGED_BY.get(key, ""))
                tile.show_values(known[key], _values(trend, key), _level(trend, judged))


class TrendTile(QtWidgets.QWidget):
    """One value in large figures, how it has changed, and its curve."""

    def __init__(self) -> None:
        super().__init__()
        self.caption, self.value, self.change = (named_label(name) for name in ("heading", "large", "dim"))
        self.plot: Any = plain_plot()
        self.plot.setLabel("bottom", "window")
        self.plot.setMinimumHeight(MIN_PLOT_PX)
        policy = QtWidgets.QSizePolicy.Policy
        self.plot.setSizePolicy(policy.Expanding, policy.Ignored)  # the picture keeps its height
        self.curve = self.plot.plot()
        column = QtWidgets.QVBoxLayout(self)
        for part in (self.caption, self.value, self.change):
            column.addWidget(part)
        column.addWidget(self.plot, 1)

    def show_values(self, metric: MetricDescription, values: dict[int, float], level: Level) -> None:
        """Show a metric's values by window, oldest first."""
        colours = theme()
        colour = colours.level(level) if level in ("warning", "bad") else colours.text
        self.caption.setText(metric.label)
        self.caption.setToolTip(metric.meaning)
        self.value.setText(metric.text(list(values.values())[-1]) if values else "–")
        self.value.setStyleSheet(f"color: {colour}")
        self.change.setText(change_text(list(values.values())))
        restyle_plot(self.plot)
        self.curve.setPen(pg.mkPen(colour, width=LINE_PX))
        self.curve.setData(np.array(list(values), float), np.array(list(values.values()), float))


def change_text(values: list[float]) -> str:
    """Compare the newest values with the first: '+31 % since the start'."""
    if len(values) < 2 * COMPARED or not (first := median(values[:COMPARED])):
        return ""
    return f"{median(values[-COMPARED:]) / first - 1:+.0%} since the start".replace("%", " %")


def _values(trend: Trend, key: str) -> dict[int, float]:
    return {one.number: one.metrics[key] for one in trend.samples if key in one.metrics}


def _level(trend: Trend, metric: MetricDescription | None) -> Level:
    """Judge the newest value of a metric, with hysteresis over all of them."""
    level: Level = "none"
    if metric is not None:
        for value in _values(trend, metric.key).values():
            level = metric.level(value, level)
    return level
