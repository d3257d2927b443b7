"""The line at the foot of the window: connection as a coloured word, then the daemon's account."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from client.labels import named_label
from client.look import LEVEL_COLOURS
from client.sentences import StatusLine


class StatusLineWidget(QtWidgets.QWidget):
    """Shows a StatusLine; wraps where the window is narrow, so nothing is cut."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = named_label("connection")
        self.details = named_label("details", wrap=True)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.connection, 0, QtCore.Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.details, 1)

    def show_line(self, line: StatusLine) -> None:
        """Say it."""
        self.connection.setText(line.connection)
        colour = LEVEL_COLOURS[line.level]
        self.connection.setStyleSheet(f"background: {colour};")
        self.details.setText("   ·   ".join(line.details))
