"""Hand the picture to another program, by dragging or by name.

The picture is written to a file in a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from client.export.file_names import file_stem
from client.export.movie_export import save_picture
from client.picture.pictures import Picture
from client.widgets.buttons import DrawnButton

TIP = "Drag this into Fiji or napari to open the picture there (32-bit OME-TIFF)"

StartDrag = Callable[[QtWidgets.QWidget, QtCore.QMimeData], None]


class DragGrip(DrawnButton):
    """Handle to drag the picture by.

    Dragging on the picture itself moves the view.
    """

    drag_started = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__("grip", TIP, flat=True)
        self.setCursor(QtCore.Qt.CursorShape.OpenHandCursor)
        self._pressed: QtCore.QPointF | None = None

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Remember where the drag began."""
        self._pressed = event.position()

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Start the drag once the mouse has moved far enough."""
        if self._pressed is None:
            return
        moved = (event.position() - self._pressed).manhattanLength()
        if moved >= QtWidgets.QApplication.startDragDistance():
            self._pressed = None
            self.drag_started.emit()

    def mouseReleaseEvent(self, _event: QtGui.QMouseEvent) -> None:
        """End the drag."""
        self._pressed = None


class DragExport:
    """Writer of files for other programs.

    Args:
        start: Starts the drag; Qt's own unless given.
    """

    def __init__(self, start: StartDrag | None = None) -> None:
        self._start = start or _start_drag
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def write(self, picture: Picture, sample: str) -> Path:
        """Write a picture for another program.

        Raises:
            InputError: The file cannot be written.
        """
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="selfstorm-", ignore_cleanup_errors=True)
        path = Path(self._folder.name) / f"{file_stem(picture, sample)}.ome.tif"
        save_picture(path, picture, overwrite=True)  # the folder is ours
        return path

    def drag(self, source: QtWidgets.QWidget, picture: Picture, sample: str) -> None:
        """Drag a picture as a file; returns once it is dropped.

        Raises:
            InputError: The file cannot be written.
        """
        path = self.write(picture, sample)
        data = QtCore.QMimeData()
        data.setUrls([QtCore.QUrl.fromLocalFile(str(path))])
        self._start(source, data)

    def clear(self) -> None:
        """Remove the files.

        Other programs have read them by now, or hold them open.
        """
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _start_drag(source: QtWidgets.QWidget, data: QtCore.QMimeData) -> None:
    drag = QtGui.QDrag(source)
    drag.setMimeData(data)
    drag.exec(QtCore.Qt.DropAction.CopyAction)
