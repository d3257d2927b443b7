"""Legend of colours in the lower left of a picture.

It has a title, a colour bar and labels at both ends.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from selfstorm.frames import Array

MARGIN_PX, PADDING_PX = 12, 7
BAR_PX = (170, 9)
SHADE, EDGE = QtGui.QColor(0, 0, 0, 170), QtGui.QColor(255, 255, 255, 90)


class Legend(QtWidgets.QGraphicsItem):
    """Legend in a pyqtgraph ViewBox, in screen pixels.

    It is hidden until it has content.
    """

    def __init__(self, view: Any) -> None:
        super().__init__(view)
        self._view = view
        self.title, self.ends = "", ("", "")
        self._colours: QtGui.QImage | None = None
        self._memory: Array | None = None  # memory of the image
        self.setZValue(1000)
        self.hide()
        view.sigResized.connect(self._place)

    @property
    def text(self) -> str:
        """Text of the legend; empty while it is hidden."""
        return ": ".join(part for part in (self.title, " to ".join(filter(None, self.ends))) if part) * self.isVisible()

    def explain(self, title: str, table: Array | None = None, ends: tuple[str, str] = ("", "")) -> None:
        """Show the legend.

        Args:
            title: Text of the first line.
            table: (N,) uint32 0xAARRGGBB, the colours from left to right; None for text only.
            ends: Labels of the left and right end.
        """
        self.prepareGeometryChange()
        self.title, self.ends = title, ends
        self._memory, self._colours = table, None
        if table is not None:
            self._colours = QtGui.QImage(table.data, len(table), 1, 4 * len(table), QtGui.QImage.Format.Format_ARGB32)
        self.show()
        self._place()
        self.update()

    def boundingRect(self) -> QtCore.QRectF:
        """Return the box it is drawn in."""
        metrics = self._metrics()
        width = max(BAR_PX[0] if self._colours else 0, metrics.horizontalAdvance(self.title), self._ends_px(metrics))
        lines = 2 if self._colours else 1
        height = lines * metrics.height() + (BAR_PX[1] + 4 if self._colours else 0)
        return QtCore.QRectF(0, 0, width + 2 * PADDING_PX, height + 2 * PADDING_PX)

    def _ends_px(self, metrics: QtGui.QFontMetrics) -> int:
        return sum(metrics.horizontalAdvance(end) for end in self.ends) + 2 * PADDING_PX if self._colours else 0

    def paint(self, painter: QtGui.QPainter, _option: object, _widget: object = None) -> None:
        """Draw the box."""
        box, metrics, align = self.boundingRect(), self._metrics(), QtCore.Qt.AlignmentFlag
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(EDGE)
        painter.setBrush(SHADE)
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(QtGui.QColor("white"))
        inner = box.adjusted(PADDING_PX, PADDING_PX, -PADDING_PX, -PADDING_PX)
        painter.drawText(inner, align.AlignLeft | align.AlignTop, self.title)
        if self._colours is None:
            return
        painter.drawImage(
            QtCore.QRectF(inner.left(), inner.top() + metrics.height() + 2, inner.width(), BAR_PX[1]), self._colours
        )
        painter.drawText(inner, align.AlignLeft | align.AlignBottom, self.ends[0])
        painter.drawText(inner, align.AlignRight | align.AlignBottom, self.ends[1])

    @staticmethod
    def _metrics() -> QtGui.QFontMetrics:
        return QtGui.QFontMetrics(QtWidgets.QApplication.font())

    def _place(self, *_: object) -> None:
        self.setPos(MARGIN_PX, self._view.rect().bottom() - self.boundingRect().height() - MARGIN_PX)
