"""Labels that the style sheet knows by name; and one that is cut with an ellipsis where there is no room."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets


def named_label(name: str, text: str = "", *, wrap: bool = False) -> QtWidgets.QLabel:
    """A label in plain text: what comes over the wire is never read as HTML."""
    label = QtWidgets.QLabel(text)
    label.setObjectName(name)
    label.setWordWrap(wrap)
    label.setTextFormat(QtCore.Qt.TextFormat.PlainText)
    return label


class ElidedLabel(QtWidgets.QLabel):
    """One line that never asks for more room than there is; the whole text is its tool tip."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.full_text = ""
        self.setObjectName(name)
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)

    def set_full_text(self, text: str) -> None:
        """Show as much of it as there is room for."""
        if text != self.full_text:
            self.full_text = text
            self.setToolTip(text)
            self._elide()

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """More or less room."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        room = self.contentsRect().width()
        self.setText(self.fontMetrics().elidedText(self.full_text, QtCore.Qt.TextElideMode.ElideRight, room))
