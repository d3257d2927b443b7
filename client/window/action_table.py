"""Table of all menu actions with their shortcuts.

Menus, tool bar and help are made from it.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from PySide6 import QtGui, QtWidgets

from client.widgets.icons import icon
from client.window.mnemonics import with_mnemonic

ERROR_MAP = (
    "Shows where the picture, imaged again through the microscope, is brighter or dimmer than the camera image; "
    "the picture itself is drawn in grey"
)
TRUST_MAP = (
    "Shows where two halves of the frames, each reconstructed alone, agree least: do not trust fine detail there; "
    "for the part of the field that was compared last"
)
FOCUS = "PSF width, photons, density and background in large figures, readable from the microscope"
ACCUMULATED = "All frames of the scene in one picture, drift-corrected; it sharpens for minutes"
TIME = "The last windows in one picture, coloured by time; static structures are white"
SECOND_SCREEN = "Fill the screen with the picture and its verdict; Esc returns"
FIJI = "Open the data of this window, as 32-bit OME-TIFF, in Fiji"
NAPARI = "Open the data of this window, as 32-bit OME-TIFF, in napari"
DEMO = "Start a daemon with a simulated living cell; it stops with this window"
SAMPLE = "Name of the sample, used in the names and captions of saved files"
PAUSE = "Pause reconstruction; frames are still received, counted and recorded"
RECORD = "Record the raw frames on the daemon's machine, in its output folder (selfstorm-out unless it was set)"
SNAPSHOT = "Save the newest picture and its raw mean on the daemon's machine"
NOTE = "Add a note about this moment, listed in all viewers"
SEND_REGION = "Reconstruct only the region drawn here, from the next window on: faster, and for all viewers"
WHOLE_FIELD = "Reconstruct the whole camera field again, from the next window on"
SETTINGS = "Window, stride, magnification, quality, optics and camera, applied from the next window on"
RESET_MODEL = "Discard what was learned; the next window starts from scratch"
NO_TRUST_MAP = "There is no trust map yet: it comes with a FULL picture that has localizations"
NO_ERROR_MAP = "There is no error map yet: it comes with a FULL picture that has localizations"
NOT_IN_FILE = "A saved picture has no {0}; 'selfstorm reconstruct --{1} FILE' writes one beside it"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action of a menu.

    Attributes:
        menu, name, text: Menu it belongs to, name in the code, text shown.
        keys: Shortcuts; the first is shown.
        drawing: Name of its icon; empty for none.
        checked: Initial state of a switch; None for a plain action.
        begins_group: Whether a separator precedes it.
        needs: What it is enabled with only: "picture", "profile", "region", "error map" or "trust map"; empty for
            nothing.
        tip: Tool tip; empty where the text says it all.
    """

    menu: str
    name: str
    text: str
    keys: tuple[str, ...] = ()
    drawing: str = ""
    checked: bool | None = None
    begins_group: bool = False
    needs: str = ""
    tip: str = ""


ACTIONS = (
    ActionSpec("File", "connect", "Connect to a daemon…", ("Ctrl+K",)),
    ActionSpec("File", "open", "Open movie…", ("Ctrl+O",)),
    ActionSpec("File", "save_view", "Save view as PNG…", ("Ctrl+S",), "save", begins_group=True, needs="picture"),
    ActionSpec("File", "save_data", "Save data as 32-bit OME-TIFF…", ("Ctrl+Shift+S",), needs="picture"),
    ActionSpec("File", "save_movie", "Save all windows in memory as movie…", ("Ctrl+Shift+M",), needs="picture"),
    ActionSpec("File", "open_in_fiji", "Open in Fiji", begins_group=True, needs="picture", tip=FIJI),
    ActionSpec("File", "open_in_napari", "Open in napari", needs="picture", tip=NAPARI),
    ActionSpec("File", "copy", "Copy view", ("Ctrl+C",), "copy", needs="picture"),
    ActionSpec("File", "sample", "Sample name…", begins_group=True, tip=SAMPLE),
    ActionSpec("File", "quit", "Quit", ("Ctrl+Q",), begins_group=True),
    ActionSpec("View", "whole", "Whole field", ("F", "0"), "whole"),
    ActionSpec("View", "zoom_in", "Zoom in", ("+", "=")),
    ActionSpec("View", "zoom_out", "Zoom out", ("-",)),
    ActionSpec("View", "single", "Super-resolved only", ("1",), begins_group=True),
    ActionSpec("View", "split", "Split: raw | super-resolved", ("2",)),
    ActionSpec("View", "overlay", "Overlay: raw + super-resolved", ("3",)),
    ActionSpec("View", "time", "Colour-coded time", ("4",), tip=TIME),
    ActionSpec("View", "raw", "Show raw mean", ("B",), checked=True),
    ActionSpec("View", "accumulated", "Show accumulated picture", ("A",), checked=True, tip=ACCUMULATED),
    ActionSpec("View", "error_map", "Show error map", ("E",), checked=False, needs="error map", tip=ERROR_MAP),
    ActionSpec("View", "trust_map", "Show trust map", ("T",), checked=False, needs="trust map", tip=TRUST_MAP),
    ActionSpec("View", "focus", "Focus and photons", ("H",), checked=False, tip=FOCUS),
    ActionSpec("View", "lock", "Lock contrast", ("K",), checked=False, begins_group=True),
    ActionSpec("View", "invert", "Invert colours", ("I",), checked=False),
    ActionSpec("View", "light", "Light theme", checked=False, begins_group=True),
    ActionSpec("View", "second_screen", "Second screen", ("F11",), checked=False, tip=SECOND_SCREEN),
    ActionSpec("Time", "live", "Live: follow the newest window", ("End", "L")),
    ActionSpec("Time", "back", "One window back", ("Left",), begins_group=True, needs="picture"),
    ActionSpec("Time", "forward", "One window forward", ("Right",), needs="picture"),
    ActionSpec("Time", "oldest", "Oldest window in memory", ("Home",), needs="picture"),
    ActionSpec("Time", "play", "Pause or play", ("Space",), needs="picture"),
    ActionSpec("Time", "loop", "Play in a loop", ("Shift+L",), checked=False),
    ActionSpec("Time", "mark", "Mark this moment", ("M",), begins_group=True, needs="picture"),
    ActionSpec("Time", "mark_before", "Previous mark", ("[",), needs="picture"),
    ActionSpec("Time", "mark_after", "Next mark", ("]",), needs="picture"),
    ActionSpec("Tools", "profile", "Line profile", ("P",), "profile", checked=False, needs="picture"),
    ActionSpec("Tools", "region", "Region", ("R",), "region", checked=False, needs="picture"),
    ActionSpec("Tools", "cancel", "Remove drawing, or leave second screen", ("Esc",)),
    ActionSpec("Tools", "copy_profile", "Copy profile", begins_group=True, needs="profile"),
    ActionSpec("Tools", "save_profile", "Save profile as CSV…", needs="profile"),
    ActionSpec("Tools", "save_trends", "Save trends as CSV…", needs="picture"),
    ActionSpec("Tools", "save_region", "Save region as CSV…", needs="region"),
    ActionSpec("Daemon", "daemon", "Not connected to a daemon"),
    ActionSpec("Daemon", "pause", "Pause", ("Ctrl+P",), begins_group=True, tip=PAUSE),
    ActionSpec("Daemon", "record", "Record raw frames", ("Ctrl+R",), tip=RECORD),
    ActionSpec("Daemon", "snapshot", "Snapshot", ("Ctrl+T",), tip=SNAPSHOT),
    ActionSpec("Daemon", "note", "Add note for all viewers…", ("Ctrl+M",), tip=NOTE),
    ActionSpec(
        "Daemon", "send_region", "Reconstruct only this region", ("Ctrl+Shift+R",), begins_group=True, tip=SEND_REGION
    ),
    ActionSpec("Daemon", "whole_field", "Reconstruct whole field", tip=WHOLE_FIELD),
    ActionSpec("Daemon", "settings", "Settings…", ("Ctrl+,",), begins_group=True, tip=SETTINGS),
    ActionSpec("Daemon", "reset_model", "Reset model…", tip=RESET_MODEL),
    ActionSpec("Help", "shortcuts", "Keyboard shortcuts", ("?", "F1"), "help"),
    ActionSpec("Help", "welcome", "First steps"),
    ActionSpec("Help", "demo", "Start the demo", tip=DEMO),
    ActionSpec("Help", "about", "About Self-STORM live"),
)


def make_actions(window: QtWidgets.QMainWindow) -> dict[str, QtGui.QAction]:
    """Make the window's menus and return all actions by name."""
    actions: dict[str, QtGui.QAction] = {}
    menus: dict[str, QtWidgets.QMenu] = {}
    titles: set[str] = set()
    letters: dict[str, set[str]] = {}
    for spec in ACTIONS:
        menu = menus.get(spec.menu)
        if menu is None:
            menu = menus[spec.menu] = window.menuBar().addMenu(with_mnemonic(spec.menu, titles))
            menu.setToolTipsVisible(True)
            letters[spec.menu] = set()
        if spec.begins_group:
            menu.addSeparator()
        action = QtGui.QAction(with_mnemonic(spec.text, letters[spec.menu]), window)
        action.setShortcuts([QtGui.QKeySequence(key) for key in spec.keys])
        if spec.checked is not None:
            action.setCheckable(True)
            action.setChecked(spec.checked)
        if spec.tip:
            action.setToolTip(spec.tip)
        menu.addAction(action)
        window.addAction(action)  # its shortcut works while the menu bar is hidden
        actions[spec.name] = action
    return actions


def make_tool_bar(actions: dict[str, QtGui.QAction], grip: QtWidgets.QWidget) -> QtWidgets.QToolBar:
    """Make the tool bar of the most frequent actions.

    `grip` is the handle to drag the picture by.
    """
    bar = QtWidgets.QToolBar("Tools", movable=False)
    bar.setObjectName("tools")
    for spec in ACTIONS:
        if spec.drawing:
            actions[spec.name].setToolTip(f"{spec.text} ({spec.keys[0]})")
    for name in ("whole", "profile", "region", "", "copy", "save_view", "grip", "", "shortcuts"):
        if name == "grip":
            bar.addWidget(grip)
        else:
            bar.addAction(actions[name]) if name else bar.addSeparator()
    draw_icons(actions)
    return bar


def draw_icons(actions: dict[str, QtGui.QAction]) -> None:
    """Draw the icons in the application's theme."""
    for spec in ACTIONS:
        if spec.drawing:
            actions[spec.name].setIcon(icon(spec.drawing))
            actions[spec.name].setIconVisibleInMenu(False)


def enable_actions(actions: dict[str, QtGui.QAction], available: Set[str], *, movie: bool = False) -> None:
    """Enable the actions whose need is available.

    A need is "picture", "profile", "region", "error map" or "trust map". `movie` tells that a saved movie is shown.
    """
    for spec in ACTIONS:
        if spec.needs:
            actions[spec.name].setEnabled(spec.needs in available)
    for name, need, tip, reason in (
        ("error_map", "error map", ERROR_MAP, NO_ERROR_MAP),
        ("trust_map", "trust map", TRUST_MAP, NO_TRUST_MAP),
    ):
        absent = NOT_IN_FILE.format(need, need.replace(" ", "-")) if movie else reason
        actions[name].setToolTip(tip if need in available else absent)


def disabled_reason(actions: dict[str, QtGui.QAction], pressed: QtGui.QKeySequence) -> str:
    """Return why the map of a pressed shortcut is disabled; empty for others."""
    for name in ("error_map", "trust_map"):
        if not actions[name].isEnabled() and pressed in actions[name].shortcuts():
            return actions[name].toolTip()
    return ""
