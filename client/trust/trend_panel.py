"""Plots over the windows: every metric, and the windows skipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from client.trust.plots import plain_plot, restyle_plot
from client.trust.trends import Trend, TrendPoint
from client.widgets.labels import named_label
from client.widgets.theme import theme
from selfstorm.frames import Array
from selfstorm.metrics.metric import MetricDescription
from selfstorm.metrics.metric_table import MetricTable

COLUMNS, MIN_PLOT_PX = 2, 90
SKIPPED, PREVIEW, LATENCY = "skipped", "preview", "latency_ms"
MAX_MARKED, MARK_PX = 30, 5
PERCENT, MS_PER_S, S_PER_MIN = 100.0, 1000.0, 60.0


class TrendPanel(QtWidgets.QScrollArea):
    """Small plots, drawn while visible; each comes with its first value.

    They scroll where they do not fit.

    plots, curves: by the metric's key, and `skipped`; the curve `preview` is in the plot of the latency.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plots: dict[str, Any] = {}
        self.curves: dict[str, Any] = {}
        self._axis = "minutes"
        self._shown: tuple[Trend, MetricTable[MetricDescription]] | None = None
        body = QtWidgets.QWidget()
        self.setWidget(body)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._grid = QtWidgets.QGridLayout(body)
        self._grid.setContentsMargins(4, 4, 4, 4)
        self._grid.setSpacing(2)

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        """Make the first plot when the panel first becomes visible."""
        super().showEvent(event)
        if not self.plots:
            self._make_plot(SKIPPED, "Windows skipped so far")
            self.plots[SKIPPED].getViewBox().setLimits(yMin=0, minYRange=1)
            self.restyle()

    def restyle(self) -> None:
        """Take on the application's colours."""
        colours = theme()
        for plot in self.plots.values():
            restyle_plot(plot)
        for name, curve in self.curves.items():
            dashed = name == PREVIEW
            pen = pg.mkPen(colours.dim, width=1.5, dash=[4, 3]) if dashed else pg.mkPen(colours.good, width=1.5)
            curve.setPen(pen)
            curve.setSymbolBrush(pen.color())

    def show_trend(self, trend: Trend, metrics: MetricTable[MetricDescription]) -> None:
        """Bring the plots up to date, while they are visible."""
        if (trend, metrics) == self._shown or not self.isVisible():
            return
        self._shown = trend, metrics
        samples = trend.samples
        places, self._axis = places_of(samples)
        for plot in self.plots.values():
            plot.setLabel("bottom", self._axis)
        for metric in metrics:
            if metric.key in trend.keys or (metric.key == LATENCY and samples):
                self._show_metric(metric, places, samples)
        self._draw(SKIPPED, places, np.array([one.skipped for one in samples], float))

    def _show_metric(self, metric: MetricDescription, places: Array, samples: tuple[TrendPoint, ...]) -> None:
        if metric.key not in self.plots:
            self._make_plot(metric.key, _title(metric))
            if metric.key == LATENCY:
                self.curves[PREVIEW] = self.plots[LATENCY].plot()
            self.restyle()
        values = _values([one.metrics.get(metric.key) for one in samples])
        self._draw(metric.key, places, values * _factor(metric))
        if metric.key == LATENCY:
            self._draw(PREVIEW, places, _values([one.preview_ms for one in samples]) * _factor(metric))

    def _make_plot(self, name: str, title: str) -> None:
        row, column = 2 * (len(self.plots) // COLUMNS), len(self.plots) % COLUMNS
        plot = self.plots[name] = plain_plot()
        plot.setLabel("bottom", self._axis)
        plot.setMinimumHeight(MIN_PLOT_PX)
        self.curves[name] = plot.plot()
        self._grid.addWidget(named_label("caption", title), row, column)
        self._grid.addWidget(plot, row + 1, column)
        self._grid.setRowStretch(row + 1, 1)

    def _draw(self, name: str, places: Array, values: Array) -> None:
        known = np.isfinite(values)
        places, values = places[known], values[known]
        # A line needs two points: a few are marked one by one.
        symbol = "o" if len(places) <= MAX_MARKED else None
        self.curves[name].setData(places, values, symbol=symbol, symbolSize=MARK_PX, symbolPen=None)


def places_of(samples: tuple[TrendPoint, ...]) -> tuple[Array, str]:
    """Place windows on the axis, and name it.

    Windows of several runs have the same numbers: live ones are placed in time, those of a movie by their order.
    """
    if samples and samples[0].at_s > 0:
        return np.array([one.at_s - samples[0].at_s for one in samples]) / S_PER_MIN, "minutes"
    return np.array([one.number for one in samples], float), "window"


def _title(metric: MetricDescription) -> str:
    """Title a plot, with its unit; latencies are drawn in seconds."""
    if metric.key == LATENCY:
        return f"{metric.label} (s):  — refined,  - - preview"
    return f"{metric.label} (s)" if metric.unit == "ms" else metric.title


def _factor(metric: MetricDescription) -> float:
    return {"%": PERCENT, "ms": 1 / MS_PER_S}.get(metric.unit, 1.0)


def _values(given: list[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in given], float)
