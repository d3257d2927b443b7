"""Tools drawn on the large picture: a profile line and a region.

They are drawn with the mouse.
"""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6 import QtCore, QtGui

from client.picture.field import PictureField
from client.picture.profile import Point
from client.picture.region import CameraRegion, region_of
from client.widgets.theme import theme

ON_TOP = 850


class PictureTool(QtCore.QObject):
    """Tool that is drawn where the mouse is dragged.

    The drawing stays until the tool is switched off.

    `changed` is emitted when its drawing is drawn, moved or removed.
    """

    changed = QtCore.Signal()

    def __init__(self, view: Any) -> None:
        super().__init__()
        self._view = view
        self._drawing: Any = None
        self._field = PictureField(1.0, 1.0, "px")

    @property
    def drawn(self) -> bool:
        """True while there is a drawing."""
        return self._drawing is not None

    def switch(self, on: bool, field: PictureField) -> None:
        """Wait for the mouse to draw on a field, or remove the drawing."""
        self._field = field
        if on and not self.drawn:
            self._view.arm(self)
        elif not on:
            self._view.arm(None)
            if self._drawing is not None:
                self._view.removeItem(self._drawing)
                self._drawing = None
                self.changed.emit()

    def drag(self, start: Point, end: Point) -> None:
        """Draw between two points (x, y), replacing an earlier drawing."""
        if self._drawing is not None:
            self._view.removeItem(self._drawing)
        self._drawing = self._draw(start, end)
        self._drawing.setZValue(ON_TOP)
        self._view.addItem(self._drawing, ignoreBounds=True)
        self._drawing.sigRegionChanged.connect(self.changed)
        self.changed.emit()

    def _draw(self, start: Point, end: Point) -> Any:
        raise NotImplementedError


class ProfileLine(PictureTool):
    """Line with a handle at each end."""

    @property
    def ends(self) -> tuple[Point, Point] | None:
        """Both ends (x, y) in the field's unit; None without a line."""
        if self._drawing is None:
            return None
        first, last = (self._drawing.mapToParent(point) for point in self._drawing.listPoints())
        return (first.x(), first.y()), (last.x(), last.y())

    def _draw(self, start: Point, end: Point) -> Any:
        return pg.LineSegmentROI([start, end], pen=_pen(), handlePen=_pen(), hoverPen=_pen(2.5))


class RegionBox(PictureTool):
    """Rectangle with a handle at its corner, within the field."""

    def region(self, field: PictureField, shape: tuple[int, int]) -> CameraRegion | None:
        """Return its camera pixels; shape: (H, W) of the camera."""
        if self._drawing is None:
            return None
        corner, size = self._drawing.pos(), self._drawing.size()
        return region_of(field, shape, (corner.x(), corner.y()), (size.x(), size.y()))

    def _draw(self, start: Point, end: Point) -> Any:
        bounds = QtCore.QRectF(0, 0, self._field.width, self._field.height)
        box = QtCore.QRectF(QtCore.QPointF(*start), QtCore.QPointF(*end)).normalized().intersected(bounds)
        corner, size = (box.x(), box.y()), (box.width(), box.height())
        return pg.RectROI(corner, size, pen=_pen(), handlePen=_pen(), hoverPen=_pen(2.5), maxBounds=bounds)


def _pen(width: float = 1.5) -> QtGui.QPen:
    pen: QtGui.QPen = pg.mkPen(theme().preview if width < 2 else "w", width=width)
    return pen
