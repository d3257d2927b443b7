"""Tool button with an icon and a tool tip."""

from __future__ import annotations

from PySide6 import QtWidgets

from client.widgets.icons import icon


class DrawnButton(QtWidgets.QToolButton):
    """Tool button that redraws its icon when the icon or the theme changes."""

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
        """Change the icon."""
        if drawing != self.drawing:
            self.drawing = drawing
            self.restyle()

    def restyle(self) -> None:
        """Apply the application's theme."""
        self.setIcon(icon(self.drawing))
