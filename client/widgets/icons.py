"""Icons for buttons, drawn from polygons in the theme's colours.

They are sharp on high-DPI screens.
"""

from __future__ import annotations

from PySide6 import QtCore, QtGui

from client.widgets.theme import theme

SIDE = 24  # units of the drawings
RESOLUTIONS = (20, 40)  # one for plain and one for high-DPI screens

# name -> polygons: points "x,y x,y ..."; a leading '=' fills, without it the line is drawn.
SHAPES: dict[str, tuple[str, ...]] = {
    "play": ("=7,4 20,12 7,20",),
    "pause": ("=6,4 10,4 10,20 6,20", "=14,4 18,4 18,20 14,20"),
    "back": ("=17,5 8,12 17,19", "=5,5 7,5 7,19 5,19"),
    "forward": ("=7,5 16,12 7,19", "=17,5 19,5 19,19 17,19"),
    "loop": ("15,5 6,5 3,8 3,14 6,17", "9,19 18,19 21,16 21,10 18,7", "=14,1 19,5 14,9", "=10,15 5,19 10,23"),
    "mark": ("6,3 18,3 18,21 12,15 6,21 6,3",),
    "marked": ("=6,3 18,3 18,21 12,15 6,21",),
    "whole": ("3,9 3,3 9,3", "15,3 21,3 21,9", "21,15 21,21 15,21", "9,21 3,21 3,15", "=9,9 15,9 15,15 9,15"),
    "profile": ("4,20 20,4", "=2,18 6,18 6,22 2,22", "=18,2 22,2 22,6 18,6"),
    "region": ("4,5 20,5 20,19 4,19 4,5", "=2,3 6,3 6,7 2,7", "=18,17 22,17 22,21 18,21"),
    "copy": ("8,8 21,8 21,21 8,21 8,8", "4,16 3,16 3,3 16,3 16,4"),
    "save": ("12,3 12,15", "=7,11 17,11 12,17", "3,17 3,21 21,21 21,17"),
    "single": ("4,4 20,4 20,20 4,20 4,4",),
    "split": ("4,4 20,4 20,20 4,20 4,4", "=12,4 20,4 20,20 12,20"),
    "overlay": ("3,3 15,3 15,15 3,15 3,3", "9,9 21,9 21,21 9,21 9,9", "=9,9 15,9 15,15 9,15"),
    "time": ("3,3 11,3 11,11 3,11 3,3", "8,8 16,8 16,16 8,16 8,8", "=13,13 21,13 21,21 13,21"),
    "contrast": ("12,3 18,6 21,12 18,18 12,21 6,18 3,12 6,6 12,3", "=12,3 18,6 21,12 18,18 12,21"),
    "grip": ("3,3 13,3 13,13 3,13 3,3", "8,19 8,21 21,21 21,8 19,8", "9,9 17,17", "=18,18 18,13 13,18"),
    "help": ("7,8 9,4 15,4 17,8 12,13 12,16", "=10,19 14,19 14,22 10,22"),
}


def icon(name: str) -> QtGui.QIcon:
    """Return the icon of that name.

    It is dim on a disabled button and bright on a checked one.
    """
    colours, made = theme(), QtGui.QIcon()
    for side in RESOLUTIONS:
        made.addPixmap(_pixmap(name, side, colours.text), QtGui.QIcon.Mode.Normal, QtGui.QIcon.State.Off)
        made.addPixmap(_pixmap(name, side, colours.on_accent), QtGui.QIcon.Mode.Normal, QtGui.QIcon.State.On)
        made.addPixmap(_pixmap(name, side, colours.line), QtGui.QIcon.Mode.Disabled, QtGui.QIcon.State.Off)
    return made


def _pixmap(name: str, side: int, colour: str) -> QtGui.QPixmap:
    pixmap = QtGui.QPixmap(side, side)
    pixmap.fill(QtCore.Qt.GlobalColor.transparent)
    painter = QtGui.QPainter(pixmap)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.scale(side / SIDE, side / SIDE)
    for shape in SHAPES[name]:
        points = QtGui.QPolygonF([QtCore.QPointF(*map(float, point.split(","))) for point in shape.lstrip("=").split()])
        if shape.startswith("="):
            painter.setPen(QtCore.Qt.PenStyle.NoPen)
            painter.setBrush(QtGui.QColor(colour))
            painter.drawPolygon(points)
        else:
            pen = QtGui.QPen(QtGui.QColor(colour), 2)
            pen.setJoinStyle(QtCore.Qt.PenJoinStyle.RoundJoin)
            painter.setPen(pen)
            painter.drawPolyline(points)
    painter.end()
    return pixmap
