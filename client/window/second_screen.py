"""Second-screen mode: picture and trust sentence fill the screen.

Nothing else is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6 import QtWidgets

if TYPE_CHECKING:
    from client.window.main_window import ViewerWindow


class SecondScreen:
    """Switch of a window between its usual layout and the second-screen mode."""

    def __init__(self, window: ViewerWindow) -> None:
        self._window = window
        self.on = False
        self._hidden: list[QtWidgets.QWidget] = []

    def switch(self, on: bool) -> None:
        """Enter or leave the mode."""
        if on == self.on:
            return
        self.on = on
        window = self._window
        window.strip.show_cells(not on)
        window.sr.set_bare(on)
        window.crosshair.switch_off(on)
        if on:
            parts = (window.menuBar(), window.tool_bar, window.side, window.time_bar, window.foot)
            self._hidden = [part for part in parts if not part.isHidden()]
            for part in self._hidden:
                part.hide()
            window.showFullScreen()
        else:
            for part in self._hidden:
                part.show()
            window.showNormal()
