"""Badge in the upper left of a picture that says how it was computed."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.field import PictureField

MARGIN_PX, PADDING_X_PX, PADDING_Y_PX = 10, 8, 3
SHADE = QtGui.QColor(0, 0, 0, 190)


class Badge(QtWidgets.QGraphicsItem):
    """Text in a frame of its colour, in a corner.

    The corner is that of the picture where it is visible, else that of the view.
    """

    def __init__(self, view: Any) -> None:
        super().__init__(view)
        self._view = view
        self._field: PictureField | None = None
        self._colour = QtGui.QColor("white")
        self.text = ""
        self._below_px = 0
        self.setZValue(1000)
        self.hide()
        view.sigRangeChanged.connect(self._place)
        view.sigResized.connect(self._place)

    def show_text(self, text: str, colour: str, explanation: str, field: PictureField | None) -> None:
        """Show a text, with its explanation as tool tip.

        An empty text hides the badge.
        """
        if text != self.text:
            self.prepareGeometryChange()
        self.text, self._colour, self._field = text, QtGui.QColor(colour), field
        self.setToolTip(explanation)
        self.setVisible(bool(text) and field is not None)
        self._place()
        self.update()

    def keep_below(self, height_px: int) -> None:
        """Leave the upper rows of the view to a banner."""
        self._below_px = height_px
        self._place()

    def boundingRect(self) -> QtCore.QRectF:
        """Return the box it is drawn in."""
        metrics = QtGui.QFontMetrics(self._font())
        width, height = metrics.horizontalAdvance(self.text), metrics.height()
        return QtCore.QRectF(0, 0, width + 2 * PADDING_X_PX, height + 2 * PADDING_Y_PX)

    def paint(self, painter: QtGui.QPainter, _option: object, _widget: object = None) -> None:
        """Draw the box and its text."""
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtGui.QPen(self._colour, 1.5))
        painter.setBrush(SHADE)
        painter.drawRoundedRect(self.boundingRect().adjusted(1, 1, -1, -1), 3, 3)
        painter.setFont(self._font())
        painter.drawText(self.boundingRect(), QtCore.Qt.AlignmentFlag.AlignCenter, self.text)

    @staticmethod
    def _font() -> QtGui.QFont:
        font = QtWidgets.QApplication.font()
        font.setBold(True)
        return font

    def _place(self, *_: object) -> None:
        if self._field is None:
            return
        width, height = self._view.viewPixelSize()
        if not (width and height):  # the view has no size yet
            return
        (left, _), (top, _) = self._view.viewRange()
        x, y = (
            max(0.0, -left / width),
            max(float(self._below_px), -top / height),
        )  # of the picture's corner, where it is visible
        self.setPos(x + MARGIN_PX, y + MARGIN_PX)
