"""The strip at the top: a cell for each lamp, and one line that says what to do about the gravest."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from client.widgets.labels import ElidedLabel, named_label
from client.widgets.theme import theme
from selfstorm.metrics.finding import Finding, Level

SHAPE_PX = 11
USUAL_WIDTH, WIDTHS = 10, {"Daemon": 12, "Model": 13}  # shares: their values are words
WORDS = {"good": "good", "warning": "warning", "bad": "bad", "none": "not known yet"}


class TrustStrip(QtWidgets.QWidget):
    """Cells keep their places and sizes, whatever they say."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: dict[str, IndicatorCell] = {}
        self._cells_shown = True
        self._row = QtWidgets.QHBoxLayout()
        self._row.setSpacing(4)
        self.shape = LevelShape()
        self.line = ElidedLabel()
        self.recording = named_label("recording")
        below = QtWidgets.QHBoxLayout()
        below.setContentsMargins(4, 0, 4, 0)
        below.addWidget(self.shape)
        below.addWidget(self.line, 1)
        below.addWidget(self.recording)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(self._row)
        column.addLayout(below)

    def show_findings(self, indicators: tuple[Finding, ...], level: Level, text: str) -> None:
        """Bring every cell up to date, and the sentence below them."""
        if {lamp.name for lamp in indicators} != set(self.cells):
            self._make_cells(indicators)
        for lamp in indicators:
            self.cells[lamp.name].show_indicator(lamp)
        self.shape.show_level(level)
        self.line.set_full_text(text)

    def show_cells(self, shown: bool) -> None:
        """Show or hide the cells; the sentence below them stays."""
        self._cells_shown = shown
        for cell in self.cells.values():
            cell.setVisible(shown)

    def show_recording(self, text: str) -> None:
        """Describe the running recording; empty without one."""
        self.recording.setText(text)
        self.recording.setVisible(bool(text))

    def _make_cells(self, indicators: tuple[Finding, ...]) -> None:
        for cell in self.cells.values():
            self._row.removeWidget(cell)
            cell.deleteLater()
        self.cells = {lamp.name: IndicatorCell(lamp.name) for lamp in indicators}
        for name, cell in self.cells.items():
            self._row.addWidget(cell, WIDTHS.get(name, USUAL_WIDTH))
            cell.setVisible(self._cells_shown)


class IndicatorCell(QtWidgets.QFrame):
    """Name, shape and value of one lamp; its sentence as a tool tip."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName("lamp")
        self.lamp: Finding | None = None
        self.shape = LevelShape()
        self.value = named_label("value", "–")
        inner = QtWidgets.QGridLayout(self)
        inner.setContentsMargins(8, 2, 6, 3)
        inner.setHorizontalSpacing(6)
        inner.setVerticalSpacing(0)
        inner.addWidget(named_label("caption", name), 0, 0, 1, 2)
        inner.addWidget(self.shape, 1, 0)
        inner.addWidget(self.value, 1, 1)
        inner.setColumnStretch(1, 1)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)

    def show_indicator(self, lamp: Finding) -> None:
        """Show it; nothing is touched that has not changed."""
        self.shape.show_level(lamp.level)
        if lamp == self.lamp:
            return
        self.lamp = lamp
        self.value.setText(lamp.value)
        self.setToolTip(f"{lamp.name}, {WORDS[lamp.level]}. {lamp.explanation}")
        self.setAccessibleName(f"{lamp.name}: {lamp.value}, {WORDS[lamp.level]}")


class LevelShape(QtWidgets.QWidget):
    """A level as a shape: disc, triangle, square, ring. The colour is only the second sign."""

    def __init__(self) -> None:
        super().__init__()
        self.level: Level = "none"
        self.setFixedSize(SHAPE_PX + 2, SHAPE_PX + 2)

    def show_level(self, level: Level) -> None:
        """Change shape and colour."""
        if level != self.level:
            self.level = level
            self.update()

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        """Draw the shape."""
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        colour, box = QtGui.QColor(theme().level(self.level)), QtCore.QRectF(1, 1, SHAPE_PX, SHAPE_PX)
        if self.level == "none":
            painter.setPen(QtGui.QPen(colour, 1.5))
            painter.drawEllipse(box.adjusted(1.5, 1.5, -1.5, -1.5))
            return
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        if self.level == "good":
            painter.drawEllipse(box.adjusted(1, 1, -1, -1))
        elif self.level == "bad":
            painter.drawRect(box)
        else:
            top = QtCore.QPointF(box.center().x(), box.top())
            painter.drawPolygon(QtGui.QPolygonF([top, box.bottomRight(), box.bottomLeft()]))
