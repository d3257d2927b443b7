"""One picture with its axes, scale bar, contrast controls, and a banner for when it is not live."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6 import QtCore, QtWidgets

from client.contrast_controls import ContrastControls
from client.field import Field
from client.labels import named_label
from client.pictures import Picture
from client.scale_bar import ScaleBar

AXIS_WIDTH_PX = 52
STALE_OPACITY = 0.5
BACKGROUND = "#23282f"  # not black: the edge of the field shows
TEXT = "#aab2bd"
MARGINS_PX = (2, 10, 10, 2)  # room for the outermost tick labels


class PicturePanel(QtWidgets.QWidget):
    """Draws (H, W) pictures over a field; nearest neighbour, y downwards, so a pixel looks like a pixel."""

    def __init__(self, title: str, colours: str) -> None:
        super().__init__()
        self.picture: Picture | None = None
        self._field: Field | None = None
        self.controls = ContrastControls(title, colours)
        self.controls.changed.connect(self._draw)
        self.plot = pg.PlotWidget(background=BACKGROUND)
        self.view = self.plot.getViewBox()
        self.image = pg.ImageItem(axisOrder="row-major", autoDownsample=True)
        self.scale_bar = ScaleBar(self.view)
        self.banner = named_label("banner", wrap=True)
        self.message = named_label("message", wrap=True)
        self._prepare_plot()
        self._lay_out()

    def _prepare_plot(self) -> None:
        self.plot.addItem(self.image)
        self.plot.hideButtons()
        self.plot.getPlotItem().layout.setContentsMargins(*MARGINS_PX)
        self.plot.setMenuEnabled(False)
        self.view.invertY(True)
        self.view.setDefaultPadding(0.0)
        # Fixed axis sizes: the two pictures are then exactly the same size, whatever their numbers.
        self.plot.getAxis("left").setWidth(AXIS_WIDTH_PX)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setTextPen(TEXT)
            axis.setPen("#3a424d")
            axis.hide()

    def _lay_out(self) -> None:
        self.banner.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.banner.hide()
        self.message.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        grid = QtWidgets.QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        grid.addWidget(self.controls, 0, 0)
        grid.addWidget(self.plot, 1, 0)
        grid.addWidget(self.message, 1, 0, QtCore.Qt.AlignmentFlag.AlignCenter)
        grid.addWidget(self.banner, 1, 0, QtCore.Qt.AlignmentFlag.AlignTop)
        grid.setRowStretch(1, 1)

    def show_picture(self, picture: Picture, field: Field) -> None:
        """Draw a picture over a field; the view stays where the user put it unless the field changed."""
        self.picture = picture
        self._draw()
        self.image.setRect(QtCore.QRectF(0.0, 0.0, field.width, field.height))
        if field == self._field:
            return
        self._field = field
        for side, name in (("left", "y"), ("bottom", "x")):
            self.plot.getAxis(side).setLabel(f"{name} ({field.unit})", color=TEXT)
            self.plot.getAxis(side).show()
        self.scale_bar.set_field(field)
        self.reset_view()

    def reset_view(self) -> None:
        """Show the whole field, and keep doing so when the window is resized."""
        self.view.enableAutoRange()

    def show_stale(self, reason: str) -> None:
        """Mark the picture as not live and say why; an empty reason takes the mark away."""
        self.banner.setText(reason)
        self.banner.setVisible(bool(reason))
        self.image.setOpacity(STALE_OPACITY if reason else 1.0)

    def show_message(self, text: str) -> None:
        """Say why there is no picture; empty takes it away."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def _draw(self) -> None:
        if self.picture is None:
            return
        levels = self.controls.levels_for(self.picture.pixels)
        self.image.setImage(self.picture.pixels, levels=levels, lut=self.controls.table(), autoLevels=False)
