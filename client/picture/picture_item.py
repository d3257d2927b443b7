"""Graphics item that draws the visible part of a picture.

Pixels are averaged to the screen's resolution.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.field import PictureField
from client.picture.rasterise import Crop, coloured, crop_for, reduced
from selfstorm.frames import Array

Mode = QtGui.QPainter.CompositionMode


class PictureItem(QtWidgets.QGraphicsItem):
    """Picture over a field, drawn without interpolation.

    Pixels thus stay visible.

    Attributes:
        split: Left edge of the part that is drawn, in field coordinates; None to draw all.
        covered: Whether another item hides it, so that it is not drawn.
        added: Whether its light is added to what lies below.
        crop, image: Part drawn last, and its colours.

    Args:
        view: pyqtgraph ViewBox that shows it.
        see_through: Whether its colours have an alpha channel.
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
        self._colours: Array | None = None  # memory of the image

    def show_pixels(self, pixels: Array, levels: tuple[float, float], table: Array, field: PictureField) -> None:
        """Set the picture to draw.

        Args:
            pixels: (H, W) values.
            levels: Values drawn darkest and brightest.
            table: (N,) uint32 lookup table.
            field: Field it covers.
        """
        if field != self.field:
            self.prepareGeometryChange()
            self.field = field
        self.pixels, self.levels, self.table = pixels, levels, table
        self.image = None
        self.update()

    def show_part(self, split: float | None, *, added: bool = False) -> None:
        """Draw only right of `split`, adding to what lies below or covering it."""
        self.split, self.added = split, added
        self.update()

    def boundingRect(self) -> QtCore.QRectF:
        """Return the field."""
        return QtCore.QRectF(0.0, 0.0, self.field.width, self.field.height)

    def paint(self, painter: QtGui.QPainter, _option: object, _widget: object = None) -> None:
        """Draw; colours are computed only after a change of picture or view."""
        if self.pixels is None or self.table is None or self.covered:
            return
        height, width = self.pixels.shape
        rows, columns = height / self.field.height, width / self.field.width  # pixels per unit
        visible = self._view.viewRect()
        screen_px = abs(painter.deviceTransform().m11()) / columns
        spans = (visible.top() * rows, visible.bottom() * rows), (visible.left() * columns, visible.right() * columns)
        crop = crop_for((height, width), *spans, screen_px, self._min_block_px())
        if crop is None:
            return
        if self.image is None or crop != self.crop:
            self._render(crop)
        if self.image is None:
            return
        # The last blocks may extend beyond the edge of the picture.
        field = self.boundingRect()
        painter.setClipRect(field.adjusted(self.split or 0.0, 0, 0, 0), QtCore.Qt.ClipOperation.IntersectClip)
        if self.added:
            painter.setCompositionMode(Mode.CompositionMode_Plus)
        target = QtCore.QRectF(crop.left / columns, crop.top / rows, 0, 0)
        target.setRight((crop.left + self.image.width() * crop.side) / columns)
        target.setBottom((crop.top + self.image.height() * crop.side) / rows)
        painter.drawImage(target, self.image)

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
