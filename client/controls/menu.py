"""State of the Daemon menu.

Each entry is enabled, or its tool tip says why it is not.
"""

from __future__ import annotations

from PySide6 import QtGui

from client.access import headline, unavailable_reason
from client.picture.region import CameraRegion
from client.state import ViewerState
from client.window.action_table import ACTIONS
from client.window.mnemonics import plain

CONNECT = "Opens File > Connect, for another daemon or another key"
DRAW_FIRST = "Draw a region first: Tools > Region (R)."
NO_PICTURE = "No picture yet."
WHOLE_ALREADY = "The whole field is already being reconstructed."
REGION_KEY = "reconstruction.region"
TIPS = {spec.name: spec.tip for spec in ACTIONS if spec.menu == "Daemon"}
TEXTS = {spec.name: spec.text for spec in ACTIONS if spec.menu == "Daemon"}


def show_daemon(actions: dict[str, QtGui.QAction], state: ViewerState, region: CameraRegion | None) -> None:
    """Update the menu's actions.

    Args:
        actions: Actions by name.
        state: State of the viewer.
        region: Region drawn on the picture on screen.
    """
    movie = bool(state.movie)
    reason = unavailable_reason(state.access, movie=movie)
    _set(actions["daemon"], headline(state.access, movie=movie), f"{reason or state.access.address}\n{CONNECT}", True)
    texts = TEXTS | _texts(state)
    for name, tip in TIPS.items():
        if name != "daemon":
            why_not = reason or _why_not(name, state, region)
            _set(actions[name], texts[name], why_not or tip, not why_not)


def _texts(state: ViewerState) -> dict[str, str]:
    """Texts of the actions that start or stop something, as they apply now."""
    status = state.status
    texts = {}
    if status is not None and status.paused:
        texts["pause"] = "Res&ume"
    if status is not None and status.recording:
        texts["record"] = "S&top recording"
    return texts


def _why_not(name: str, state: ViewerState, region: CameraRegion | None) -> str:
    if name == "send_region" and region is None:
        return DRAW_FIRST
    if name == "snapshot" and state.newest is None:
        return NO_PICTURE
    if name == "whole_field" and state.access.settings.get(REGION_KEY) is None:
        return WHOLE_ALREADY
    return ""


def _set(action: QtGui.QAction, text: str, tip: str, enabled: bool) -> None:
    """Set only what has changed, so that an open menu does not flicker."""
    if plain(action.text()) != plain(text):
        action.setText(text if "&" in text else f"&{text}")
    if action.toolTip() != tip:
        action.setToolTip(tip)
    if action.isEnabled() != enabled:
        action.setEnabled(enabled)
