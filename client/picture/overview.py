"""Overview in the upper right of a picture.

It shows the camera's field, the reconstructed region, and the visible part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.field import PictureField
from client.picture.pictures import Picture
from client.picture.rasterise import Crop, coloured, reduced
from selfstorm.frames import Array

SIDE_PX, MARGIN_PX = 110, 12
WHOLE_SHARE = 0.6  # of the field: the overview is hidden where more of it is visible
GROUND, EDGE, VIEW = QtGui.QColor(0, 0, 0, 190), QtGui.QColor(255, 255, 255, 120), QtGui.QColor("#6cc5f0")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class OverviewLayout:
    """Boxes (x, y, width, height) in pixels of the overview.

    They are the camera, the picture in it, and the visible part of the picture.
    """

    camera: Box
    picture: Box
    visible: Box


def overview_layout(
    camera: tuple[int, int], region: tuple[int, int, int, int], visible: Box, field: PictureField
) -> OverviewLayout | None:
    """Lay out the overview; None where all of the camera's field is in sight.

    Args:
        camera: (H, W) of the camera.
        region: (y, x, height, width) that the picture covers, in camera pixels.
        visible: (x, y, width, height) of the view, in the field's unit.
        field: Field of the picture.
    """
    left, top = max(visible[0], 0.0), max(visible[1], 0.0)
    right, bottom = min(visible[0] + visible[2], field.width), min(visible[1] + visible[3], field.height)
    share = max(right - left, 0.0) * max(bottom - top, 0.0) / (field.width * field.height)
    if share > WHOLE_SHARE and region[2:] == camera:
        return None
    px = SIDE_PX / max(camera)
    picture = (region[1] * px, region[0] * px, region[3] * px, region[2] * px)
    x, y = picture[2] / field.width, picture[3] / field.height
    inside = (picture[0] + left * x, picture[1] + top * y, max(right - left, 0.0) * x, max(bottom - top, 0.0) * y)
    return OverviewLayout((0.0, 0.0, camera[1] * px, camera[0] * px), picture, inside)


class Overview(QtWidgets.QGraphicsItem):
    """Inset of a pyqtgraph ViewBox, in screen pixels.

    It is hidden while the whole field is visible.
    """

    def __init__(self, view: Any) -> None:
        super().__init__(view)
        self._view = view
        self._camera = (1, 1)
        self._region = (0, 0, 1, 1)
        self._field: PictureField | None = None
        self._picture: tuple[Array, tuple[float, float], Array] | None = None
        self._thumbnail: QtGui.QImage | None = None
        self._memory: Array | None = None  # memory of the thumbnail
        self.layout: OverviewLayout | None = None
        self.setZValue(1000)
        self.hide()
        view.sigRangeChanged.connect(self._arrange)
        view.sigResized.connect(self._arrange)

    def show_picture(self, picture: Picture, levels: tuple[float, float], table: Array, field: PictureField) -> None:
        """Set the picture and its colours."""
        height, width = (side // picture.header.scale for side in picture.header.shape)
        self._region = picture.header.region or (0, 0, height, width)
        self._field, self._picture, self._thumbnail = field, (picture.pixels, levels, table), None
        self._arrange()

    def show_camera(self, camera: tuple[int, int] | None) -> None:
        """Set (H, W) of the camera.

        None where it is unknown; that of the picture is then used.
        """
        y, x, height, width = self._region
        known = camera is not None and camera[0] >= y + height and camera[1] >= x + width
        self._camera = camera if known and camera is not None else (y + height, x + width)
        self._arrange()

    def clear(self) -> None:
        """Remove the picture."""
        self._field = self._picture = self._thumbnail = None
        self._arrange()

    def boundingRect(self) -> QtCore.QRectF:
        """Return the box it is drawn in."""
        return QtCore.QRectF(-1, -1, SIDE_PX + 2, SIDE_PX + 2)

    def paint(self, painter: QtGui.QPainter, _option: object, _widget: object = None) -> None:
        """Draw the camera's field, the picture in it, and the visible part.

        The visible part is a frame.
        """
        if self.layout is None:
            return
        if self._thumbnail is None:
            self._render()
        camera, picture, visible = (
            QtCore.QRectF(*box) for box in (self.layout.camera, self.layout.picture, self.layout.visible)
        )
        painter.setPen(EDGE)
        painter.setBrush(GROUND)
        painter.drawRect(camera)
        if self._thumbnail is not None:
            painter.drawImage(picture, self._thumbnail)
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
        painter.drawRect(picture)
        painter.setPen(QtGui.QPen(VIEW, 1.5))
        painter.drawRect(visible)

    def _render(self) -> None:
        if self._picture is None:
            return
        pixels, levels, table = self._picture
        height, width = pixels.shape
        crop = Crop(0, height, 0, width, max(1, max(height, width) // SIDE_PX))
        colours = self._memory = coloured(reduced(pixels, crop), levels, table)
        rows, columns = colours.shape
        self._thumbnail = QtGui.QImage(colours.data, columns, rows, 4 * columns, QtGui.QImage.Format.Format_RGB32)

    def _arrange(self, *_: object) -> None:
        field = self._field
        self.layout = None
        if field is not None:
            seen = self._view.viewRect()
            visible = (seen.x(), seen.y(), seen.width(), seen.height())
            self.layout = overview_layout(self._camera, self._region, visible, field)
        self.setVisible(self.layout is not None)
        if self.layout is not None:
            self.setPos(self._view.rect().right() - self.layout.camera[2] - MARGIN_PX, MARGIN_PX)
            self.update()
