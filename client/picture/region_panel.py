"""Panel with the statistics of the region and its actions."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.pictures import PicturePair
from client.picture.region import CameraRegion, region_lines
from client.widgets.buttons import action_button
from client.widgets.labels import named_label

COLUMNS = 2
HINT = "Choose Tools > Region (R), then drag on the picture to draw a rectangle."


class RegionPanel(QtWidgets.QScrollArea):
    """Position, size and statistics of a region in both pictures.

    It has a button for each action, and scrolls where it does not fit.
    """

    def __init__(self, actions: list[QtGui.QAction]) -> None:
        super().__init__()
        self.text = named_label("facts", HINT, wrap=True)
        body = QtWidgets.QWidget()
        self.setWidget(body)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        grid = QtWidgets.QGridLayout(body)
        grid.setContentsMargins(8, 6, 8, 6)
        grid.addWidget(self.text, 0, 0, 1, COLUMNS)
        for number, action in enumerate(actions):
            grid.addWidget(action_button(action), 1 + number // COLUMNS, number % COLUMNS)
        grid.setRowStretch(grid.rowCount(), 1)

    def show_region(self, pair: PicturePair | None, region: CameraRegion | None) -> None:
        """Show the statistics of a region; without one, explain how to draw one."""
        self.text.setText(HINT if pair is None or region is None else "\n".join(region_lines(pair, region)))
