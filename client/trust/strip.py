"""Strip of indicators, and a sentence on the most serious ones."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from client.trust.indicators import Indicators
from client.widgets.labels import named_label
from client.widgets.theme import theme
from selfstorm.metrics.finding import Finding, Level

SHAPE_PX = 11
SPACING_PX = 4
MIN_LINES = 2  # of the sentence: two findings at 1280 pixels
WORDS = {"good": "good", "warning": "warning", "bad": "bad", "none": "not judged"}


class TrustStrip(QtWidgets.QWidget):
    """A cell for each indicator, in as many rows as can be read whole.

    Those of the picture come first, those of the acquisition start a row of their own. Cells keep their places.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cells: dict[str, IndicatorCell] = {}
        self._groups: tuple[tuple[str, ...], ...] = ()
        self._cells_shown = True
        self._placed: list[list[str]] = []
        self._rows: list[QtWidgets.QHBoxLayout] = []
        self._above = QtWidgets.QVBoxLayout()
        self._above.setSpacing(SPACING_PX)
        self.shape = LevelShape()
        self.line = TrustLine()
        self.recording = named_label("recording")
        below = QtWidgets.QHBoxLayout()
        below.setContentsMargins(4, 0, 4, 0)
        below.addWidget(self.shape)
        below.addWidget(self.line, 1)
        below.addWidget(self.recording)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(self._above)
        column.addLayout(below)

    def show_findings(self, indicators: Indicators, level: Level, text: str) -> None:
        """Bring every cell up to date, and the sentence below them."""
        groups = tuple(tuple(one.name for one in group) for group in (indicators.picture, indicators.acquisition))
        if groups != self._groups:
            self._make_cells(groups)
        for finding in indicators:
            self.cells[finding.name].show_indicator(finding)
        self._arrange()
        self.shape.show_level(level)
        self.line.show_text(text)

    def show_cells(self, shown: bool) -> None:
        """Show or hide the cells; the sentence below them stays."""
        self._cells_shown = shown
        for cell in self.cells.values():
            cell.setVisible(shown)

    def show_recording(self, text: str) -> None:
        """Describe the running recording; empty without one."""
        self.recording.setText(text)
        self.recording.setVisible(bool(text))

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """Break the rows for the new width."""
        super().resizeEvent(event)
        self._arrange()

    def _make_cells(self, groups: tuple[tuple[str, ...], ...]) -> None:
        self._place([])
        for cell in self.cells.values():
            cell.hide()
            cell.deleteLater()
        self._groups = groups
        self.cells = {name: IndicatorCell(name) for group in groups for name in group}

    def _arrange(self) -> None:
        """Share each row's width among its cells by what they need."""
        rows = [row for group in self._groups if group for row in self._broken(group)]
        if rows != self._placed:
            self._place(rows)
        for row, layout in zip(rows, self._rows, strict=True):
            for place, name in enumerate(row):
                layout.setStretch(place, self.cells[name].needed_px)

    def _broken(self, group: tuple[str, ...]) -> list[list[str]]:
        """Break a group into rows that fit the width."""
        rows: list[list[str]] = [[]]
        left_px = self.width()
        for name in group:
            needed_px = self.cells[name].needed_px
            if rows[-1] and needed_px > left_px:
                rows.append([])
                left_px = self.width()
            rows[-1].append(name)
            left_px -= needed_px + SPACING_PX
        return rows

    def _place(self, rows: list[list[str]]) -> None:
        """Lay the cells out anew."""
        for layout in self._rows:
            while layout.count():
                layout.takeAt(0)
            self._above.removeItem(layout)
            layout.deleteLater()
        self._placed, self._rows = rows, [QtWidgets.QHBoxLayout() for _ in rows]
        for row, layout in zip(rows, self._rows, strict=True):
            layout.setSpacing(SPACING_PX)
            self._above.addLayout(layout)
            for name in row:
                layout.addWidget(self.cells[name])
        for cell in self.cells.values():
            cell.setVisible(self._cells_shown)


class TrustLine(QtWidgets.QLabel):
    """Sentence in as many lines as it needs.

    It is two lines high from the start and keeps the height that it needed once, so that the picture below does not
    move with every warning.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Minimum)

    def show_text(self, text: str) -> None:
        """Show the whole text."""
        if text != self.text():
            self.setText(text)
            self._keep_height()

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """Measure the height anew for another width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.setMinimumHeight(0)
            self._keep_height()

    def _keep_height(self) -> None:
        two_lines = MIN_LINES * self.fontMetrics().lineSpacing()
        self.setMinimumHeight(max(two_lines, self.minimumHeight(), self.heightForWidth(self.width())))


class IndicatorCell(QtWidgets.QFrame):
    """Name, shape and value of one indicator; its sentence as a tool tip."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName("indicator")
        self.finding: Finding | None = None
        self._widest_px = 0
        self.shape = LevelShape()
        self.value = named_label("value", "–")
        inner = QtWidgets.QGridLayout(self)
        inner.setContentsMargins(7, 2, 5, 3)
        inner.setHorizontalSpacing(6)
        inner.setVerticalSpacing(0)
        inner.addWidget(named_label("caption", name), 0, 0, 1, 2)
        inner.addWidget(self.shape, 1, 0)
        inner.addWidget(self.value, 1, 1)
        inner.setColumnStretch(1, 1)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)

    @property
    def needed_px(self) -> int:
        """Width that its widest value so far needs."""
        self._widest_px = max(self._widest_px, self.sizeHint().width())
        return self._widest_px

    def show_indicator(self, finding: Finding) -> None:
        """Show a finding, unless it is shown already."""
        self.shape.show_level(finding.level)
        if finding == self.finding:
            return
        self.finding = finding
        self.value.setText(finding.value)
        self.setToolTip(f"{finding.name}, {WORDS[finding.level]}. {finding.explanation}")
        if self.underMouse() and QtWidgets.QToolTip.isVisible():  # it is being read
            QtWidgets.QToolTip.showText(QtGui.QCursor.pos(), self.toolTip(), self)
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
