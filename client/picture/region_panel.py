"""Panel with the statistics of the region and its actions."""

from __future__ import annotations

from PySide6 import QtGui, QtWidgets

from client.picture.pictures import PicturePair
from client.picture.region import CameraRegion, region_lines
from client.widgets.buttons import action_button
from client.widgets.labels import named_label

HINT = "Choose Tools > Region (R), then drag on the picture to draw a rectangle."


class RegionPanel(QtWidgets.QWidget):
    """Position, size and statistics of a region in both pictures.

    It has a button for each action.
    """

    def __init__(self, actions: list[QtGui.QAction]) -> None:
        super().__init__()
        self.text = named_label("facts", HINT, wrap=True)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(self.text)
        for action in actions:
            column.addWidget(action_button(action))
        column.addStretch(1)

    def show_region(self, pair: PicturePair | None, region: CameraRegion | None) -> None:
        """Show the statistics of a region; without one, explain how to draw one."""
        self.text.setText(HINT if pair is None or region is None else "\n".join(region_lines(pair, region)))
