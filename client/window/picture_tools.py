"""Tools drawn on the large picture: a profile line and a region."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6 import QtCore, QtGui

from client.picture.field import PictureField
from client.picture.profile import Point
from client.picture.region import Region, region_of
from client.widgets.theme import theme

ON_TOP = 850


class ProfileLine(QtCore.QObject):
    """Line with a handle at each end; `changed` is emitted when it is drawn, moved or removed."""

    changed = QtCore.Signal()

    def __init__(self, view: Any) -> None:
        super().__init__()
        self._view = view
        self._line: Any = None

    @property
    def ends(self) -> tuple[Point, Point] | None:
        """Both ends (x, y) in the field's unit; None without a line."""
        if self._line is None:
            return None
        first, last = (self._line.mapToParent(point) for point in self._line.listPoints())
        return (first.x(), first.y()), (last.x(), last.y())

    def show(self, shown: bool, field: PictureField) -> None:
        """Draw it across the middle of the visible part, or remove it."""
        if shown == (self._line is not None):
            return
        if self._line is None:
            visible = self._view.viewRect().intersected(QtCore.QRectF(0, 0, field.width, field.height))
            middle, half_length = visible.center(), 0.15 * min(visible.width(), visible.height())
            self.draw((middle.x() - half_length, middle.y()), (middle.x() + half_length, middle.y()))
        else:
            self._view.removeItem(self._line)
            self._line = None
            self.changed.emit()

    def draw(self, start: Point, end: Point) -> None:
        """Draw it between two points, replacing an existing one."""
        if self._line is not None:
            self._view.removeItem(self._line)
        self._line = pg.LineSegmentROI([start, end], pen=_pen(), handlePen=_pen(), hoverPen=_pen(2.5))
        self._line.setZValue(ON_TOP)
        self._view.addItem(self._line, ignoreBounds=True)
        self._line.sigRegionChanged.connect(self.changed)
        self.changed.emit()


class RegionBox(QtCore.QObject):
    """Rectangle with a handle at its corner; `changed` is emitted when it is drawn, moved or removed."""

    changed = QtCore.Signal()

    def __init__(self, view: Any) -> None:
        super().__init__()
        self._view = view
        self._box: Any = None

    @property
    def shown(self) -> bool:
        """Whether a rectangle is drawn."""
        return self._box is not None

    def region(self, field: PictureField, shape: tuple[int, int]) -> Region | None:
        """Return its camera pixels; shape: (H, W) of the camera."""
        if self._box is None:
            return None
        corner, size = self._box.pos(), self._box.size()
        return region_of(field, shape, (corner.x(), corner.y()), (size.x(), size.y()))

    def show(self, shown: bool, field: PictureField) -> None:
        """Draw it in the middle of the visible part, or remove it."""
        if shown == self.shown:
            return
        if self._box is None:
            visible = self._view.viewRect().intersected(QtCore.QRectF(0, 0, field.width, field.height))
            size = visible.size() * 0.3
            corner = visible.center() - QtCore.QPointF(size.width() / 2, size.height() / 2)
            self.draw((corner.x(), corner.y()), (size.width(), size.height()), field)
        else:
            self._view.removeItem(self._box)
            self._box = None
            self.changed.emit()

    def draw(self, corner: Point, size: Point, field: PictureField) -> None:
        """Draw it at (x, y), in the field's unit, replacing an existing one."""
        if self._box is not None:
            self._view.removeItem(self._box)
        bounds = QtCore.QRectF(0, 0, field.width, field.height)
        self._box = pg.RectROI(corner, size, pen=_pen(), handlePen=_pen(), hoverPen=_pen(2.5), maxBounds=bounds)
        self._box.setZValue(ON_TOP)
        self._view.addItem(self._box, ignoreBounds=True)
        self._box.sigRegionChanged.connect(self.changed)
        self.changed.emit()


def _pen(width: float = 1.5) -> QtGui.QPen:
    pen: QtGui.QPen = pg.mkPen(theme().preview if width < 2 else "w", width=width)
    return pen
