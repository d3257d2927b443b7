"""A picture as an item of a scene: draws the part in sight at the screen's resolution, once per picture and view."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.field import PictureField
from client.picture.rasterise import Crop, coloured, crop_for, reduced
from selfstorm.frames import Array

Mode = QtGui.QPainter.CompositionMode


class PictureItem(QtWidgets.QGraphicsItem):
    """Lies over a field; nearest neighbour, so that a pixel looks like a pixel. view: the ViewBox that shows it.

    see_through: whether its colours have an alpha. split: where its left edge is cut off, in field coordinates; None
    draws all. covered: nothing of it would be seen, so it is not drawn. added: light is added to what is below. drawn,
    image: the part drawn last, and its colours.
    """

    def __init__(self, view: Any, *, see_through: bool = False) -> None:
        super().__init__()
        self._view = view
        formats = QtGui.QImage.Format
        self._format = formats.Format_ARGB32 if see_through else formats.Format_RGB32
        self.field = PictureField(1.0, 1.0, "px")
        self.pixels: Array | None = None
        self.levels = (0.0, 1.0)
        self.table: Array | None = None
        self.split: float | None = None
        self.added, self.covered = False, False
        self.crop: Crop | None = None
        self.image: QtGui.QImage | None = None
        self._colours: Array | None = None  # the image's memory

    def show_pixels(self, pixels: Array, levels: tuple[float, float], table: Array, field: PictureField) -> None:
        """Draw (H, W) pixels over the field from now on. levels: darkest, brightest. table: (N,) uint32."""
        if field != self.field:
            self.prepareGeometryChange()
            self.field = field
        self.pixels, self.levels, self.table = pixels, levels, table
        self.image = None
        self.update()

    def show_part(self, split: float | None, *, added: bool = False) -> None:
        """Cut off what is left of `split`, and add light or cover."""
        self.split, self.added = split, added
        self.update()

    def boundingRect(self) -> QtCore.QRectF:
        """The field."""
        return QtCore.QRectF(0.0, 0.0, self.field.width, self.field.height)

    def paint(self, painter: QtGui.QPainter, _option: object, _widget: object = None) -> None:
        """Draw; the colours are made anew only when picture or view changed."""
        if self.pixels is None or self.table is None or self.covered:
            return
        height, width = self.pixels.shape
        rows, columns = height / self.field.height, width / self.field.width  # pixels per unit
        seen = self._view.viewRect()
        screen_px = abs(painter.deviceTransform().m11()) / columns
        spans = (seen.top() * rows, seen.bottom() * rows), (seen.left() * columns, seen.right() * columns)
        crop = crop_for((height, width), *spans, screen_px, self._min_block_px())
        if crop is None:
            return
        if self.image is None or crop != self.crop:
            self._render(crop)
        if self.image is None:
            return
        # The last blocks may reach over the picture's edge.
        field = self.boundingRect()
        painter.setClipRect(field.adjusted(self.split or 0.0, 0, 0, 0), QtCore.Qt.ClipOperation.IntersectClip)
        if self.added:
            painter.setCompositionMode(Mode.CompositionMode_Plus)
        place = QtCore.QRectF(crop.left / columns, crop.top / rows, 0, 0)
        place.setRight((crop.left + self.image.width() * crop.side) / columns)
        place.setBottom((crop.top + self.image.height() * crop.side) / rows)
        painter.drawImage(place, self.image)

    def _render(self, crop: Crop) -> None:
        if self.pixels is None or self.table is None:
            return
        colours = self._colour(crop, self.pixels, self.table)
        height, width = colours.shape
        self._colours, self.crop = colours, crop
        self.image = QtGui.QImage(colours.data, width, height, 4 * width, self._format)

    def _min_block_px(self) -> float:
        return 0.0

    def _colour(self, crop: Crop, pixels: Array, table: Array) -> Array:
        return coloured(reduced(pixels, crop), self.levels, table)
