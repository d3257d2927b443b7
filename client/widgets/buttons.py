"""Buttons with a drawing and a tool tip."""

from __future__ import annotations

from PySide6 import QtWidgets

from client.widgets.icons import icon


class DrawnButton(QtWidgets.QToolButton):
    """A tool button that draws its icon anew when the drawing or the look changes."""

    def __init__(self, drawing: str, tip: str, *, checkable: bool = False, flat: bool = False) -> None:
        super().__init__()
        self.drawing = ""
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setCheckable(checkable)
        if flat:
            self.setObjectName("flat")
        self.draw(drawing)

    def draw(self, drawing: str) -> None:
        """Change the drawing."""
        if drawing != self.drawing:
            self.drawing = drawing
            self.restyle()

    def restyle(self) -> None:
        """Take on the application's look."""
        self.setIcon(icon(self.drawing))
