"""The region's numbers. Sending it to the camera's side is for whoever listens to the window's region_changed."""

from __future__ import annotations

from PySide6 import QtWidgets

from client.labels import named_label
from client.picture.pictures import Pair
from client.picture.region import Region, region_lines

HINT = "Tools > Region (R) draws a rectangle on the picture; drag it or its corner."


class RegionPanel(QtWidgets.QWidget):
    """Place, size and values of a rectangle in both pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.text = named_label("facts", HINT, wrap=True)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(self.text)
        column.addStretch(1)

    def show_region(self, pair: Pair | None, region: Region | None) -> None:
        """Say what is in it; without one, how to get one."""
        self.text.setText(HINT if pair is None or region is None else "\n".join(region_lines(pair, region)))
