"""Time slider over the windows in memory.

Marks are ticks, and live is its right end.
"""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from client.timeline.history import History
from client.timeline.playhead import Playhead, position
from client.widgets.theme import theme

HEIGHT_PX = 26
GROOVE_PX = 6
HANDLE_PX = 7
MARGIN_PX = 10


class Scrubber(QtWidgets.QWidget):
    """Slider that emits `sought` with a number of the history.

    Its range does not change while it is dragged.
    """

    sought = QtCore.Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.at = 0, -1, -1
        self._marks: tuple[int, ...] = ()
        self._following, self._live, self._held = True, False, False
        self.setFixedHeight(HEIGHT_PX)
        self.setMinimumWidth(120)
        self.setCursor(QtCore.Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Drag to show an earlier window; press End to return to live")

    def show_time(self, playhead: Playhead, history: History, *, live: bool) -> None:
        """Show the playhead among the windows in memory.

        Args:
            playhead: Window on screen.
            history: Windows in memory.
            live: Whether the newest window is up to date.
        """
        if not self._held:
            self.first, self.last = history.first, history.last
        self.at, self._following = position(playhead, history), playhead.at is None
        self._live = live
        self._marks = tuple(one.number for one in playhead.marks)
        self.update()

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Start dragging."""
        self._held = True
        self._seek(event.position().x())

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Seek while dragging."""
        if self._held:
            self._seek(event.position().x())

    def mouseReleaseEvent(self, _event: QtGui.QMouseEvent) -> None:
        """Stop dragging."""
        self._held = False

    def x_of(self, number: int) -> float:
        """Return the x coordinate of a window on the widget, in pixels."""
        length = self.width() - 2 * MARGIN_PX
        span = self.last - self.first
        share = min(max((number - self.first) / span, 0.0), 1.0) if span > 0 else 1.0
        return MARGIN_PX + length * share

    def _seek(self, x: float) -> None:
        if self.last < self.first:
            return
        share = (x - MARGIN_PX) / max(self.width() - 2 * MARGIN_PX, 1)
        self.sought.emit(self.first + round(min(max(share, 0.0), 1.0) * (self.last - self.first)))

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        """Draw groove, filled part, marks and handle."""
        painter, colours = QtGui.QPainter(self), theme()
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        middle, here = self.height() / 2, self.x_of(self.at)
        groove = QtCore.QRectF(MARGIN_PX, middle - GROOVE_PX / 2, self.width() - 2 * MARGIN_PX, GROOVE_PX)
        painter.setBrush(QtGui.QColor(colours.raised))
        painter.drawRoundedRect(groove, 3, 3)
        if self.last < self.first:
            return
        following = colours.good if self._live else colours.dim
        colour = QtGui.QColor(following if self._following else colours.past)
        painter.setBrush(colour)
        painter.drawRoundedRect(QtCore.QRectF(groove.left(), groove.top(), here - groove.left(), GROOVE_PX), 3, 3)
        painter.setBrush(QtGui.QColor(colours.warning))
        for number in self._marks:
            if self.first <= number <= self.last:
                painter.drawRect(QtCore.QRectF(self.x_of(number) - 1.5, middle - 11, 3, 22))
        painter.setBrush(QtGui.QColor(colours.text))
        painter.setPen(QtGui.QPen(colour, 2))
        painter.drawEllipse(QtCore.QPointF(here, middle), HANDLE_PX, HANDLE_PX)
