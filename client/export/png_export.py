"""Save or copy the view as an image of the picture alone.

The image has a scale bar, a colour bar, the time and the grade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.contrast_controls import short_number
from client.picture.panel import PicturePanel
from client.picture.pictures import PicturePair
from client.trust.sentences import picture_lines
from selfstorm.errors import InputError
from selfstorm.frames import Array

PADDING_PX, GAP_PX, BAR_HEIGHT_PX = 8, 6, 10
MIN_WIDTH_PX = 240
MIN_SIDE_PX, MAX_ZOOM = 1_600, 4  # of a saved picture, and over the screen's resolution
GROUND, INK = QtGui.QColor("black"), QtGui.QColor("white")


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """Caption and colour bar of an exported picture.

    Both are also written into the file.

    Attributes:
        caption: Sample, window, time and grade.
        table: (N,) uint32 colours of the picture; None where a legend in the picture explains them.
        levels: Values drawn darkest and brightest.
        unit: Unit of the levels.
        drawn: Contrast and colours, in words.
    """

    caption: str
    table: Array | None
    levels: tuple[float, float]
    unit: str
    drawn: str


def view_image(panel: PicturePanel, pair: PicturePair, figure: Figure) -> QtGui.QImage:
    """Render the visible part of the picture with a caption below it.

    The image has a title and a description as text entries.
    """
    image = captioned(_visible_part(panel), figure)
    preview = ("preview",) if pair.sr.preview else ()
    image.setText("Title", f"Self-STORM live, {figure.caption}")
    lines = (*preview, *picture_lines(pair.sr.header, file=pair.sr.file), figure.drawn, *pair.sr.header.notes)
    image.setText("Description", "\n".join(lines))
    return image


def _visible_part(panel: PicturePanel) -> QtGui.QImage:
    """Draw the picture without axes, margins and the mark of a stale picture.

    Its shorter side has at least MIN_SIDE_PX, as far as MAX_ZOOM allows. The caption has the time.
    """
    axes = [panel.plot.getAxis(side) for side in ("left", "bottom")]  # their ticks reach into the picture
    before = [axis.opacity() for axis in axes]
    for axis in axes:
        axis.setOpacity(0.0)
    try:
        with panel.unmarked():
            return _drawn_large(panel.plot, _picture_rect(panel))
    finally:
        for axis, opacity in zip(axes, before, strict=True):
            axis.setOpacity(opacity)


def _drawn_large(view: QtWidgets.QGraphicsView, rect: QtCore.QRect) -> QtGui.QImage:
    """Draw a part of a view with more pixels than the screen has."""
    ratio = view.devicePixelRatioF()
    ratio *= min(max(1, math.ceil(MIN_SIDE_PX / (ratio * max(1, min(rect.width(), rect.height()))))), MAX_ZOOM)
    image = QtGui.QImage(rect.size() * ratio, QtGui.QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(ratio)
    image.fill(GROUND)
    painter = QtGui.QPainter(image)
    view.render(painter, QtCore.QRectF(0, 0, rect.width(), rect.height()), rect)
    painter.end()
    return image


def _picture_rect(panel: PicturePanel) -> QtCore.QRect:
    """Return the visible part of the picture on the widget."""
    view, field = panel.view, panel.field
    shown = view.sceneBoundingRect()
    if field is not None:
        shown &= view.mapViewToScene(QtCore.QRectF(0, 0, field.width, field.height)).boundingRect()
    rect: QtCore.QRect = panel.plot.mapFromScene(shown).boundingRect().intersected(panel.plot.rect())
    return rect.adjusted(0, 0, -1, -1)  # a row that the picture fills in part is none of it


def captioned(picture: QtGui.QImage, figure: Figure) -> QtGui.QImage:
    """Write caption and colour bar below a picture."""
    ratio = picture.devicePixelRatio()
    metrics = QtGui.QFontMetrics(QtWidgets.QApplication.font())
    width = max(round(picture.width() / ratio), MIN_WIDTH_PX)
    inner = width - 2 * PADDING_PX
    flags = QtCore.Qt.TextFlag.TextWordWrap
    text = metrics.boundingRect(QtCore.QRect(0, 0, inner, 10_000), flags, figure.caption)
    bar = 0 if figure.table is None else metrics.height() + GAP_PX
    top = round(picture.height() / ratio)
    image = QtGui.QImage(
        round(width * ratio), round((top + 2 * PADDING_PX + bar + text.height()) * ratio), picture.format()
    )
    image.setDevicePixelRatio(ratio)
    image.fill(GROUND)
    painter = QtGui.QPainter(image)
    painter.setFont(QtWidgets.QApplication.font())
    painter.setPen(INK)
    painter.drawImage(QtCore.QPointF((width - picture.width() / ratio) / 2, 0), picture)
    if figure.table is not None:
        line = QtCore.QRect(PADDING_PX, top + PADDING_PX, inner, metrics.height())
        _draw_colour_bar(painter, line, figure.table, figure)
    below = QtCore.QRect(PADDING_PX, top + PADDING_PX + bar, inner, text.height())
    painter.drawText(below, flags, figure.caption)
    painter.end()
    return image


def _draw_colour_bar(painter: QtGui.QPainter, line: QtCore.QRect, table: Array, figure: Figure) -> None:
    """Draw the lowest value, the colours, the highest value and the unit.

    They are drawn in one line.
    """
    align, metrics = QtCore.Qt.AlignmentFlag, painter.fontMetrics()
    low, high = short_number(figure.levels[0]), f"{short_number(figure.levels[1])} {figure.unit}"
    left, right = (metrics.horizontalAdvance(text) + GAP_PX for text in (low, high))
    painter.drawText(line, align.AlignLeft | align.AlignVCenter, low)
    painter.drawText(line, align.AlignRight | align.AlignVCenter, high)
    bar = QtCore.QRect(line.left() + left, 0, line.width() - left - right, BAR_HEIGHT_PX)
    bar.moveTop(line.center().y() - BAR_HEIGHT_PX // 2)
    colours = QtGui.QImage(table.data, len(table), 1, 4 * len(table), QtGui.QImage.Format.Format_RGB32)
    painter.drawImage(bar, colours)
    painter.drawRect(bar)


def save_image(path: Path, image: QtGui.QImage) -> None:
    """Write a PNG.

    Raises:
        InputError: The file cannot be written.
    """
    writer = QtGui.QImageWriter(str(path), QtCore.QByteArray(b"PNG"))
    if not writer.write(image):
        raise InputError(f"cannot be written ({writer.errorString()})", where=path, hint="choose another place")
