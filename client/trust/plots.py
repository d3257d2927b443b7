"""Plots in the window's look."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg

from client.widgets.theme import theme

AXIS_WIDTH_PX = 44


def plain_plot() -> Any:
    """Make an empty PlotWidget with axes on the left and below, fixed view."""
    plot = pg.PlotWidget(enableMenu=False)
    plot.hideButtons()
    plot.setMouseEnabled(x=False, y=False)
    plot.getPlotItem().layout.setContentsMargins(0, 8, 8, 0)  # room for the outermost tick labels
    plot.getAxis("left").setWidth(AXIS_WIDTH_PX)
    plot.getAxis("left").setStyle(maxTickLevel=0)  # labels of finer ticks overlap in a low plot
    for side in ("left", "bottom"):
        plot.getAxis(side).enableAutoSIPrefix(False)
    return plot


def restyle_plot(plot: Any) -> None:
    """Give a plot the application's look."""
    colours = theme()
    plot.setBackground(colours.base)
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(colours.line)
        axis.setTextPen(colours.dim)
        if axis.labelText:
            axis.setLabel(axis.labelText, color=colours.dim)
