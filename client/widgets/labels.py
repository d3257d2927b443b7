"""Labels named for the style sheet, and one that elides long text."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets


def named_label(name: str, text: str = "", *, wrap: bool = False) -> QtWidgets.QLabel:
    """Make a label in plain text.

    Text from the wire is thus never rendered as HTML.
    """
    label = QtWidgets.QLabel(text)
    label.setObjectName(name)
    label.setWordWrap(wrap)
    label.setTextFormat(QtCore.Qt.TextFormat.PlainText)
    return label


class ElidedLabel(QtWidgets.QLabel):
    """Label of one line that elides long text; the full text is its tool tip."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.full_text = ""
        self.setObjectName(name)
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)

    def set_full_text(self, text: str) -> None:
        """Show as much of the text as fits."""
        if text != self.full_text:
            self.full_text = text
            self.setToolTip(text)
            self._elide()

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """Elide the text for the new width."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        width = self.contentsRect().width()
        self.setText(self.fontMetrics().elidedText(self.full_text, QtCore.Qt.TextElideMode.ElideRight, width))
