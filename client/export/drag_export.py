"""Dragging the picture into another program: a grip, and a file in a temporary folder that goes with the viewer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from client.export.movie_export import save_picture
from client.picture.pictures import Picture
from client.widgets.buttons import DrawnButton

TIP = "Drag me into Fiji or napari: the picture shown, as 32-bit OME-TIFF"

StartDrag = Callable[[QtWidgets.QWidget, QtCore.QMimeData], None]


class DragGrip(DrawnButton):
    """drag_started: the user has begun to drag it. A drag on the picture itself moves the view."""

    drag_started = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__("grip", TIP, flat=True)
        self.setCursor(QtCore.Qt.CursorShape.OpenHandCursor)
        self._pressed: QtCore.QPointF | None = None

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Take hold of it."""
        self._pressed = event.position()

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Pull it far enough."""
        if self._pressed is None:
            return
        moved = (event.position() - self._pressed).manhattanLength()
        if moved >= QtWidgets.QApplication.startDragDistance():
            self._pressed = None
            self.drag_started.emit()

    def mouseReleaseEvent(self, _event: QtGui.QMouseEvent) -> None:
        """Let go."""
        self._pressed = None


class DragExport:
    """Writes pictures to be dragged. start: begins the drag, Qt's own unless given."""

    def __init__(self, start: StartDrag | None = None) -> None:
        self._start = start or _start_drag
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def drag(self, source: QtWidgets.QWidget, picture: Picture) -> None:
        """Begin to drag a picture's file; returns when it is dropped. Raises InputError where it cannot be written."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="selfstorm-", ignore_cleanup_errors=True)
        run, window = picture.window
        preview = "-preview" if picture.preview else ""
        name = "".join(letter for letter in run[:8] if letter.isalnum())
        path = Path(self._folder.name) / f"{name}-window-{window}{preview}.ome.tif"
        save_picture(path, picture, overwrite=True)  # the folder is ours
        data = QtCore.QMimeData()
        data.setUrls([QtCore.QUrl.fromLocalFile(str(path))])
        self._start(source, data)

    def clear(self) -> None:
        """Remove the files; the other program has read them by now, or still holds them open."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _start_drag(source: QtWidgets.QWidget, data: QtCore.QMimeData) -> None:
    drag = QtGui.QDrag(source)
    drag.setMimeData(data)
    drag.exec(QtCore.Qt.DropAction.CopyAction)
