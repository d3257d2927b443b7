"""Labels that the style sheet knows by name."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets


def named_label(name: str, text: str = "", *, wrap: bool = False) -> QtWidgets.QLabel:
    """A label in plain text: what comes over the wire is never read as HTML."""
    label = QtWidgets.QLabel(text)
    label.setObjectName(name)
    label.setWordWrap(wrap)
    label.setTextFormat(QtCore.Qt.TextFormat.PlainText)
    return label
