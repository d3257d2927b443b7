"""Drawing of a histogram with contrast levels and marks of clipping."""

from __future__ import annotations

import numpy as np
from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.histogram import Histogram, clipping_text
from client.widgets.theme import theme

SIZE_PX = (220, 64)
MARK_PX = 5
CLIPPED_SHARE = 1e-3  # fewer clipped pixels are not marked


class HistogramView(QtWidgets.QWidget):
    """Histogram on a logarithmic scale.

    Bars outside the levels are drawn as clipped, with a mark at the edge.
    """

    def __init__(self) -> None:
        super().__init__()
        self.histogram: Histogram | None = None
        self._levels = (0.0, 1.0)
        self.setMinimumSize(*SIZE_PX)

    def show_histogram(self, histogram: Histogram | None, levels: tuple[float, float]) -> None:
        """Show a histogram with the levels of the contrast."""
        self.histogram, self._levels = histogram, levels
        self.setToolTip("" if histogram is None else clipping_text(histogram))
        self.update()

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        """Draw the bars, the levels and the marks."""
        painter, colours, area = QtGui.QPainter(self), theme(), QtCore.QRectF(self.rect())
        painter.fillRect(area, QtGui.QColor(colours.base))
        shown = self.histogram
        if shown is None:
            return
        heights = np.log1p(shown.counts.astype(float))
        heights *= (area.height() - MARK_PX) / (heights.max() or 1.0)
        first, last = float(shown.edges[0]), float(shown.edges[-1])
        at = (shown.edges - first) / (last - first) * area.width()
        for left, right, height, middle in zip(
            at, at[1:], heights, (shown.edges[1:] + shown.edges[:-1]) / 2, strict=False
        ):
            clipped = not self._levels[0] <= middle <= self._levels[1]
            bar = QtCore.QRectF(left, area.height() - height, max(right - left - 0.5, 0.5), height)
            painter.fillRect(bar, QtGui.QColor(colours.warning if clipped else colours.dim))
        painter.setPen(QtGui.QPen(QtGui.QColor(colours.text), 1))
        for level in self._levels:
            x = (level - first) / (last - first) * area.width()
            painter.drawLine(QtCore.QPointF(x, 0), QtCore.QPointF(x, area.height()))
        for share, edge in ((shown.below, area.left()), (shown.above, area.right() - MARK_PX)):
            if share > CLIPPED_SHARE:
                painter.fillRect(QtCore.QRectF(edge, 0, MARK_PX, MARK_PX), QtGui.QColor(colours.bad))
