"""View box in which the mouse either moves the view or draws with a tool."""

from __future__ import annotations

from typing import Any, Protocol

import pyqtgraph as pg
from PySide6 import QtCore

Point = tuple[float, float]


class DrawingTool(Protocol):
    """A tool that draws between two points (x, y), in the view's coordinates."""

    def drag(self, start: Point, end: Point) -> None:
        """Draw between two points while the mouse is dragged."""


class ToolViewBox(pg.ViewBox):  # type: ignore[misc]  # pyqtgraph has no types
    """pyqtgraph ViewBox whose left mouse button draws while a tool is armed.

    Signals: `tool_used` when a drawing is finished, `menu_requested` with the position of a right click on the screen.
    """

    tool_used = QtCore.Signal()
    menu_requested = QtCore.Signal(object)

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self._tool: DrawingTool | None = None

    @property
    def armed(self) -> bool:
        """True while the next drag draws."""
        return self._tool is not None

    def arm(self, tool: DrawingTool | None) -> None:
        """Draw with a tool at the next drag; None to move the view again."""
        self._tool = tool
        shape = QtCore.Qt.CursorShape.CrossCursor if tool is not None else QtCore.Qt.CursorShape.ArrowCursor
        self.setCursor(shape)

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        """Draw with the armed tool, or move the view."""
        if self._tool is None or event.button() != QtCore.Qt.MouseButton.LeftButton:
            super().mouseDragEvent(event, axis)
            return
        event.accept()
        start, end = (self.mapSceneToView(at) for at in (event.buttonDownScenePos(), event.scenePos()))
        self._tool.drag((start.x(), start.y()), (end.x(), end.y()))
        if event.isFinish():
            self.arm(None)
            self.tool_used.emit()

    def mouseClickEvent(self, event: Any) -> None:
        """Request the context menu on a right click."""
        if event.button() == QtCore.Qt.MouseButton.RightButton:
            event.accept()
            self.menu_requested.emit(event.screenPos().toPoint())
