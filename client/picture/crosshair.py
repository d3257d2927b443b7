"""Crosshair shared by all views, and the values under the mouse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyqtgraph as pg
from PySide6 import QtCore

from client.picture.field import PictureField, field_of
from client.picture.pictures import Picture, PicturePair

LINE = (255, 255, 255, 110)
ON_TOP = 900

ROUNDING = 1e-6


class Crosshair(QtCore.QObject):
    """Crosshair in several pyqtgraph PlotWidgets.

    It follows the mouse over any of them.

    Signals: `moved` with x, y in the field's unit, `left` when the mouse leaves a plot.
    """

    moved = QtCore.Signal(float, float)
    left = QtCore.Signal()

    def __init__(self, plots: tuple[Any, ...]) -> None:
        super().__init__()
        self.lines = []
        self._off = False
        for plot in plots:
            lines = tuple(pg.InfiniteLine(angle=angle, pen=pg.mkPen(LINE), movable=False) for angle in (90, 0))
            for line in lines:
                line.setZValue(ON_TOP)
                line.hide()
                plot.getViewBox().addItem(line, ignoreBounds=True)
            self.lines.append(lines)
            plot.scene().sigMouseMoved.connect(lambda at, plot=plot: self._point(plot, at))
            plot.viewport().installEventFilter(self)

    def eventFilter(self, _watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Hide the lines when the mouse leaves a plot."""
        if event.type() == QtCore.QEvent.Type.Leave:
            self._show(False)
            self.left.emit()
        return False

    def _point(self, plot: Any, at: QtCore.QPointF) -> None:
        place = plot.getViewBox().mapSceneToView(at)
        for vertical, horizontal in self.lines:
            vertical.setValue(place.x())
            horizontal.setValue(place.y())
        self._show(True)
        self.moved.emit(place.x(), place.y())

    def switch_off(self, off: bool) -> None:
        """Hide the lines until they are switched on again."""
        self._off = off
        self._show(False)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide the lines within a block, as for a picture that is saved."""
        lines = [line for lines in self.lines for line in lines if line.isVisible()]
        for line in lines:
            line.hide()
        try:
            yield
        finally:
            for line in lines:
                line.show()

    def _show(self, shown: bool) -> None:
        shown = shown and not self._off
        for line in (line for lines in self.lines for line in lines):
            line.setVisible(shown)


def describe_point(pair: PicturePair, x: float, y: float) -> str:
    """Describe position and values at x, y, in the field's unit.

    Empty outside the field.
    """
    field = field_of(pair)
    if not (0 <= x < field.width and 0 <= y < field.height):
        return ""
    values = [f"super-resolved {_value(pair.sr, field, x, y):.4g} {pair.sr.unit}"]
    if pair.raw is not None:
        values.append(f"raw {_value(pair.raw, field, x, y):.4g} {pair.raw.unit}")
    if pair.error is not None:
        values.append(f"error {_value(pair.error, field, x, y):+.3g} {pair.error.unit}")
    if pair.trust is not None and not math.isnan(trust := _value(pair.trust, field, x, y)):
        values.append(f"trust {trust:.2f}")
    place = f"x {x:.3f}  y {y:.3f} {field.unit}" if field.unit == "µm" else f"x {x:.1f}  y {y:.1f} {field.unit}"
    return "   ·   ".join((place, *values))


def _value(picture: Picture, field: PictureField, x: float, y: float) -> float:
    """Return the value at x, y; 0 for rounding noise such as 1e-15."""
    height, width = picture.pixels.shape
    value = float(picture.pixels[int(y / field.height * height), int(x / field.width * width)])
    return 0.0 if abs(value) <= ROUNDING else value
