"""Tool buttons: with an icon and a tool tip, or of a menu action."""

from __future__ import annotations

from PySide6 import QtGui, QtWidgets

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


def action_button(action: QtGui.QAction) -> QtWidgets.QToolButton:
    """Make a button of a menu action."""
    button = QtWidgets.QToolButton()
    button.setDefaultAction(action)
    return button
