"""Panel of one picture: axes, scale bar, contrast controls, marks.

Marks are labels such as PREVIEW or STALE.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.contrast_controls import ContrastControls
from client.picture.field import PictureField
from client.picture.picture_item import PictureItem
from client.picture.pictures import Picture
from client.picture.scale_bar import ScaleBar
from client.picture.tool_view_box import ToolViewBox
from client.widgets.labels import named_label
from client.widgets.theme import theme
from selfstorm.frames import Array

AXIS_WIDTH_PX = 46
STALE_OPACITY = 0.45
BELOW_ALL = -1000
BARE_MARGINS_PX = (2, 2, 2, 2)
MARGINS_PX = (2, 8, 10, 2)  # space for the outermost tick labels
MAX_ZOOM = 500.0  # largest magnification of a field


class PicturePanel(QtWidgets.QWidget):
    """Panel that draws (H, W) pictures over a field, y downwards.

    Args:
        header: Row above the picture.
    """

    def __init__(self, title: str, colours: str, *, axes: bool = True) -> None:
        super().__init__()
        self._axes = ("left", "bottom") if axes else ()
        self._bare = False
        self.picture: Picture | None = None
        self.field: PictureField | None = None
        self.controls = ContrastControls(colours)
        self.controls.changed.connect(self._draw)
        self.plot = pg.PlotWidget(viewBox=ToolViewBox())
        self.view = self.plot.getViewBox()
        self.image = PictureItem(self.view)
        self._ground = QtWidgets.QGraphicsRectItem()
        self.scale_bar = ScaleBar(self.view)
        self.title = named_label("title", title)
        self.chip = named_label("chip")
        self.banner = named_label("banner", wrap=True)
        self.message = named_label("message", wrap=True)
        self._prepare_plot()
        self._lay_out()
        self.restyle()

    def _prepare_plot(self) -> None:
        self._ground.setBrush(QtGui.QColor("black"))  # a stale picture fades to it, in a light window too
        self._ground.setPen(QtGui.QPen(QtCore.Qt.PenStyle.NoPen))
        self._ground.setFlag(QtWidgets.QGraphicsItem.GraphicsItemFlag.ItemIgnoresParentOpacity)
        self._ground.setZValue(BELOW_ALL)
        self.view.addItem(self._ground, ignoreBounds=True)
        self.view.addItem(self.image)
        self.plot.hideButtons()
        self.plot.getPlotItem().layout.setContentsMargins(*(MARGINS_PX if self._axes else BARE_MARGINS_PX))
        self.view.invertY(True)
        self.view.setDefaultPadding(0.0)
        self.plot.getAxis("left").setWidth(AXIS_WIDTH_PX)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).enableAutoSIPrefix(False)
            self.plot.getAxis(side).hide()

    def _lay_out(self) -> None:
        self.chip.hide()
        self.title.setMinimumWidth(1)  # it gives way before the window grows
        self.banner.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.banner.hide()
        self.message.hide()
        self.message.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.header_bar = QtWidgets.QWidget()
        self.header = QtWidgets.QHBoxLayout(self.header_bar)
        self.header.setContentsMargins(4, 0, 2, 0)
        self.header.addWidget(self.title)
        self.header.addWidget(_elastic_slot(self.chip), 1)
        self.header.addWidget(self.controls)
        self.frame = QtWidgets.QFrame()
        self.frame.setObjectName("picture")
        grid = QtWidgets.QGridLayout(self.frame)
        grid.setContentsMargins(2, 2, 2, 2)
        grid.addWidget(self.plot, 0, 0)
        grid.addWidget(self.message, 0, 0, QtCore.Qt.AlignmentFlag.AlignCenter)
        grid.addWidget(self.banner, 0, 0, QtCore.Qt.AlignmentFlag.AlignTop)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.header_bar)
        column.addWidget(self.frame, 1)

    def restyle(self) -> None:
        """Apply the application's theme."""
        colours = theme()
        self.plot.setBackground(colours.picture)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setTextPen(colours.dim)
            self.plot.getAxis(side).setPen(colours.line)
            if self.field is not None:
                self._label_axis(side, self.field)
        self.controls.restyle()
        self.show_chip("", "")

    def set_bare(self, bare: bool) -> None:
        """Show the picture alone, without axes and controls."""
        self._bare = bare
        self.header_bar.setVisible(not bare)
        for side in self._axes:
            self.plot.getAxis(side).setVisible(not bare and self.field is not None)
        self.plot.getAxis("left").setWidth(0 if bare else AXIS_WIDTH_PX)
        self.plot.getPlotItem().layout.setContentsMargins(*(BARE_MARGINS_PX if bare or not self._axes else MARGINS_PX))

    def show_picture(self, picture: Picture | None, field: PictureField) -> None:
        """Draw a picture over a field.

        The user's view is kept unless the field has changed.
        """
        self.picture = picture
        self.image.setVisible(picture is not None)
        if field != self.field:
            self._set_field(field)
        self._draw()

    def clear(self) -> None:
        """Remove the picture."""
        self.picture, self.field, self.image.pixels = None, None, None
        self.image.update()
        self._ground.setRect(QtCore.QRectF())
        for side in ("left", "bottom"):
            self.plot.getAxis(side).hide()
        self.scale_bar.hide()

    def _set_field(self, field: PictureField) -> None:
        self.field = field
        self._ground.setRect(0, 0, field.width, field.height)
        for side in self._axes:
            self._label_axis(side, field)
            self.plot.getAxis(side).setVisible(not self._bare)
        longest = max(field.width, field.height)
        shortest, widest = longest / MAX_ZOOM, 8 * longest
        self.view.setLimits(minXRange=shortest, minYRange=shortest, maxXRange=widest, maxYRange=widest)
        self.scale_bar.set_field(field)
        self.reset_view()

    def _label_axis(self, side: str, field: PictureField) -> None:
        name = {"left": "y", "bottom": "x"}[side]
        self.plot.getAxis(side).setLabel(f"{name} ({field.unit})", color=theme().dim)

    def reset_view(self) -> None:
        """Show the whole field, also after resizing the window."""
        self.view.enableAutoRange()

    def show_stale(self, reason: str) -> None:
        """Mark the picture as stale and say why; an empty reason removes the mark."""
        self.banner.setText(reason)
        self.banner.setVisible(bool(reason))
        self.view.childGroup.setOpacity(STALE_OPACITY if reason else 1.0)

    @contextmanager
    def unmarked(self) -> Iterator[None]:
        """Draw the picture as if it were not stale, within a block."""
        opacity = self.view.childGroup.opacity()
        self.view.childGroup.setOpacity(1.0)
        try:
            yield
        finally:
            self.view.childGroup.setOpacity(opacity)

    def show_chip(self, text: str, colour: str) -> None:
        """Show a label in the title's place and a dashed frame in its colour.

        An empty label removes both.
        """
        colour = colour if text else ""
        line = f"1px dashed {colour}" if text else "1px solid transparent"
        if (text, line) == (self.chip.text(), self.frame.property("line")):
            return
        self.chip.setText(text)
        self.chip.setVisible(bool(text))
        self.title.setVisible(not text)
        self.chip.setStyleSheet(f"background: {colour};" if text else "")
        self.frame.setProperty("line", line)
        self.frame.setStyleSheet(f"QFrame#picture {{ border: {line}; }}")

    def show_message(self, text: str) -> None:
        """Say why there is no picture; empty removes the text."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def _draw(self) -> None:
        if self.picture is None or self.field is None:
            return
        pixels = self.picture.pixels
        known, levels = self.image.field, self.controls.levels_for(pixels, self.picture.unit)
        self.image.show_pixels(pixels, levels, self._table(), self.field)
        if self.field != known:
            self.view.itemBoundsChanged(self.image)

    def _table(self) -> Array:
        return self.controls.table()


def _elastic_slot(chip: QtWidgets.QLabel) -> QtWidgets.QWidget:
    """Wrap the chip in a slot without a minimum width.

    Its text thus never moves the pictures.
    """
    slot = QtWidgets.QWidget()
    slot.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)
    row = QtWidgets.QHBoxLayout(slot)
    row.setSizeConstraint(QtWidgets.QLayout.SizeConstraint.SetNoConstraint)
    row.setContentsMargins(4, 0, 4, 0)
    row.addWidget(chip, 0, QtCore.Qt.AlignmentFlag.AlignVCenter)
    row.addStretch(1)
    return slot
