"""Save or copy the view as an image with its scale bar and metadata."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from client.picture.pictures import Pair
from client.trust.sentences import picture_lines
from selfstorm.errors import InputError


def view_image(view: QtWidgets.QWidget, pair: Pair, drawn: str) -> QtGui.QImage:
    """Render the view at the screen's resolution.

    Args:
        view: Widget to render.
        pair: Pictures it shows.
        drawn: Contrast and colours, in words.

    Returns:
        The image with a title and a description as text entries.
    """
    image = view.grab().toImage()
    preview = ("preview",) if pair.sr.preview else ()
    image.setText("Title", f"Self-STORM live, window {pair.sr.header.window}")
    image.setText("Description", "\n".join((*preview, *picture_lines(pair.sr.header), drawn, *pair.sr.header.notes)))
    return image


def save_image(path: Path, image: QtGui.QImage) -> None:
    """Write a PNG.

    Raises:
        InputError: The file cannot be written.
    """
    writer = QtGui.QImageWriter(str(path), QtCore.QByteArray(b"PNG"))
    if not writer.write(image):
        raise InputError(f"cannot be written ({writer.errorString()})", where=path, hint="choose another place")
