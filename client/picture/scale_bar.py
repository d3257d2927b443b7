"""Scale bar of a round length in the corner of a picture."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.field import PictureField, length_text, round_length

SHARE_OF_VIEW = 0.28
MAX_SHARE_OF_FIELD = 0.8
MARGIN_PX = 14
THICK_PX = 4
SHADE, SHADE_PX = 130, 5


class ScaleBar:
    """Scale bar in the lower right of a pyqtgraph ViewBox.

    It is at most about a quarter of the view's width.
    """

    def __init__(self, view: Any) -> None:
        self._view = view
        self._field: PictureField | None = None
        self.text = ""
        self.bar = QtWidgets.QGraphicsRectItem(view)
        self.bar.setBrush(QtGui.QColor("white"))
        self.bar.setPen(QtGui.QPen(QtGui.QColor("black"), 1))
        self._label = QtWidgets.QGraphicsSimpleTextItem(view)
        self._label.setBrush(QtGui.QColor("white"))
        font = QtWidgets.QApplication.font()
        font.setBold(True)
        self._label.setFont(font)
        self._shade = QtWidgets.QGraphicsRectItem(view)  # keeps white text readable on bright structures
        self._shade.setBrush(QtGui.QColor(0, 0, 0, SHADE))
        self._shade.setPen(QtGui.QPen(QtCore.Qt.PenStyle.NoPen))
        for depth, item in enumerate((self._shade, self.bar, self._label)):
            item.setZValue(1000 + depth)
            item.hide()
        view.sigRangeChanged.connect(self._redraw)
        view.sigResized.connect(self._redraw)

    def set_field(self, field: PictureField) -> None:
        """Show the bar for a field, whose coordinates are those of the view."""
        self._field = field
        self._redraw()

    def hide(self) -> None:
        """Hide the bar until a field is set again."""
        self._field = None
        self.bar.hide()
        self._label.hide()
        self._shade.hide()

    def _redraw(self, *_: object) -> None:
        if self._field is None:
            return
        rect, unit_per_px = self._view.rect(), self._view.viewPixelSize()[0]
        # A picture zoomed out far has a shorter bar, never one wider than itself.
        length = round_length(min(SHARE_OF_VIEW * rect.width() * unit_per_px, MAX_SHARE_OF_FIELD * self._field.width))
        width_px = length / unit_per_px
        # In the corner of the picture where that is visible, else in the corner of the view.
        (left_edge, _), (top_edge, _) = self._view.viewRange()
        right = min(rect.right(), (self._field.width - left_edge) / unit_per_px) - MARGIN_PX
        bottom = min(rect.bottom(), (self._field.height - top_edge) / unit_per_px) - MARGIN_PX
        if right < width_px or bottom < MARGIN_PX:
            right, bottom = rect.right() - MARGIN_PX, rect.bottom() - MARGIN_PX
        self.bar.setRect(right - width_px, bottom - THICK_PX, width_px, THICK_PX)
        self.text = length_text(length, self._field.unit)
        self._label.setText(self.text)
        text = self._label.boundingRect()
        self._label.setPos(right - width_px / 2 - text.width() / 2, bottom - THICK_PX - text.height() - 2)
        behind = self.bar.rect() | text.translated(self._label.pos())
        self._shade.setRect(behind.adjusted(-SHADE_PX, 0, SHADE_PX, SHADE_PX))
        for item in (self._shade, self.bar, self._label):
            item.show()
