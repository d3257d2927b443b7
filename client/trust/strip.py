"""Strip of indicators, and a sentence on the most serious ones."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from client.widgets.labels import ElidedLabel, named_label
from client.widgets.theme import theme
from selfstorm.metrics.finding import Finding, Level

SHAPE_PX = 11
USUAL_WIDTH, WIDTHS = 10, {"Daemon": 12, "Model": 13, "Quality": 13}  # shares: their values are words
WORDS = {"good": "good", "warning": "warning", "bad": "bad", "none": "not known yet"}


class TrustStrip(QtWidgets.QWidget):
    """A cell for each indicator; cells keep their places and sizes."""

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
        if {finding.name for finding in indicators} != set(self.cells):
            self._make_cells(indicators)
        for finding in indicators:
            self.cells[finding.name].show_indicator(finding)
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
        self.cells = {finding.name: IndicatorCell(finding.name) for finding in indicators}
        for name, cell in self.cells.items():
            self._row.addWidget(cell, WIDTHS.get(name, USUAL_WIDTH))
            cell.setVisible(self._cells_shown)


class IndicatorCell(QtWidgets.QFrame):
    """Name, shape and value of one indicator; its sentence as a tool tip."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName("indicator")
        self.finding: Finding | None = None
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

    def show_indicator(self, finding: Finding) -> None:
        """Show a finding, unless it is shown already."""
        self.shape.show_level(finding.level)
        if finding == self.finding:
            return
        self.finding = finding
        self.value.setText(finding.value)
        self.setToolTip(f"{finding.name}, {WORDS[finding.level]}. {finding.explanation}")
        self.setAccessibleName(f"{finding.name}: {finding.value}, {WORDS[finding.level]}")


class LevelShape(QtWidgets.QWidget):
    """A level as a shape, for users who do not see its colour."""

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
