"""The view as others see it: a PNG with its scale bar, which says in itself what it shows; or the clipboard."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.pictures import Pair
from client.trust.sentences import picture_lines
from selfstorm.errors import InputError


def view_image(view: QtWidgets.QWidget, pair: Pair, drawn: str) -> QtGui.QImage:
    """What the widget shows, at the screen's resolution. drawn: contrast and colours, in words."""
    image = view.grab().toImage()
    preview = ("preview",) if pair.sr.preview else ()
    image.setText("Title", f"Self-STORM live, window {pair.sr.header.window}")
    image.setText("Description", "\n".join((*preview, *picture_lines(pair.sr.header), drawn, *pair.sr.header.notes)))
    return image


def save_image(path: Path, image: QtGui.QImage) -> None:
    """Write a PNG. Raises InputError."""
    writer = QtGui.QImageWriter(str(path), QtCore.QByteArray(b"PNG"))
    if not writer.write(image):
        raise InputError(f"cannot be written ({writer.errorString()})", where=path, hint="choose another place")
