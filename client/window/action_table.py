"""Everything the menus offer, with its key, in one table: menus, tool bar and the page of keys are made of it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6 import QtGui, QtWidgets

from client.widgets.icons import icon

ERROR_MAP = (
    "Where the picture, imaged again through the microscope, is brighter or dimmer than the camera saw; "
    "the picture below is drawn grey"
)
TIME = "The last windows in one picture: the colour says when, what stays is white"
PAUSE = "Make no pictures until resumed; frames are still taken in, counted and recorded"
RECORD = "Keep the raw frames, in the folder of the daemon's configuration, on its machine"
SNAPSHOT = "Save the newest picture and its raw mean on the daemon's machine"
NOTE = "A line that all viewers list and the run's manifest keeps"
SEND_REGION = "From the next window on only the region drawn here is reconstructed: faster, and all viewers see it"
WHOLE_FIELD = "All of the camera's field again, from the next window on"
SETTINGS = "Window, stride, scale, quality, optics, camera: from the next window on"
RESET_MODEL = "Forget what was learned: the next window starts anew"
NO_ERROR_MAP = "There is no error map: the daemon has published none in this run"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action. keys: the first is shown. drawing: of its icon, if any. checked: None for no switch.

    tip: what is not plain from its text.
    """

    menu: str
    name: str
    text: str
    keys: tuple[str, ...] = ()
    drawing: str = ""
    checked: bool | None = None
    begins_group: bool = False
    needs_picture: bool = False
    tip: str = ""


ACTIONS = (
    ActionSpec("File", "connect", "Connect to a daemon…", ("Ctrl+K",)),
    ActionSpec("File", "open", "Open a movie…", ("Ctrl+O",)),
    ActionSpec(
        "File", "save_view", "Save the view as PNG…", ("Ctrl+S",), "save", begins_group=True, needs_picture=True
    ),
    ActionSpec("File", "save_data", "Save the data as 32-bit OME-TIFF…", ("Ctrl+Shift+S",), needs_picture=True),
    ActionSpec("File", "save_movie", "Save the windows kept as a movie…", ("Ctrl+Shift+M",), needs_picture=True),
    ActionSpec("File", "copy", "Copy the view", ("Ctrl+C",), "copy", needs_picture=True),
    ActionSpec("File", "quit", "Quit", ("Ctrl+Q",), begins_group=True),
    ActionSpec("View", "whole", "Whole field", ("F", "0"), "whole"),
    ActionSpec("View", "zoom_in", "Zoom in", ("+", "=")),
    ActionSpec("View", "zoom_out", "Zoom out", ("-",)),
    ActionSpec("View", "single", "Super-resolved alone", ("1",), begins_group=True),
    ActionSpec("View", "split", "Split: raw | super-resolved", ("2",)),
    ActionSpec("View", "overlay", "Overlay: raw + super-resolved", ("3",)),
    ActionSpec("View", "time", "Colour-coded time", ("4",), tip=TIME),
    ActionSpec("View", "raw", "Raw mean beside it", ("B",), checked=True),
    ActionSpec("View", "error_map", "Show error map", ("E",), checked=False, tip=ERROR_MAP),
    ActionSpec("View", "lock", "Lock the contrast", ("K",), checked=False, begins_group=True),
    ActionSpec("View", "invert", "Invert the colours", ("I",), checked=False),
    ActionSpec("View", "light", "Light look", checked=False, begins_group=True),
    ActionSpec("Time", "live", "Live: follow the newest", ("End", "L")),
    ActionSpec("Time", "back", "One window back", ("Left",), begins_group=True, needs_picture=True),
    ActionSpec("Time", "forward", "One window on", ("Right",), needs_picture=True),
    ActionSpec("Time", "oldest", "Oldest window kept", ("Home",), needs_picture=True),
    ActionSpec("Time", "play", "Hold, or play on", ("Space",), needs_picture=True),
    ActionSpec("Time", "loop", "Play in a loop", ("Shift+L",), checked=False),
    ActionSpec("Time", "mark", "Mark this moment", ("M",), begins_group=True, needs_picture=True),
    ActionSpec("Time", "mark_before", "Previous mark", ("[",), needs_picture=True),
    ActionSpec("Time", "mark_after", "Next mark", ("]",), needs_picture=True),
    ActionSpec("Tools", "profile", "Line profile", ("P",), "profile", checked=False, needs_picture=True),
    ActionSpec("Tools", "region", "Region", ("R",), "region", checked=False, needs_picture=True),
    ActionSpec("Daemon", "daemon", "No daemon to control"),
    ActionSpec("Daemon", "pause", "Pause", ("Ctrl+P",), begins_group=True, tip=PAUSE),
    ActionSpec("Daemon", "record", "Record raw frames", ("Ctrl+R",), tip=RECORD),
    ActionSpec("Daemon", "snapshot", "Snapshot", ("Ctrl+T",), tip=SNAPSHOT),
    ActionSpec("Daemon", "note", "Mark with a note for all viewers…", ("Ctrl+M",), tip=NOTE),
    ActionSpec(
        "Daemon", "send_region", "Send region to the daemon", ("Ctrl+Shift+R",), begins_group=True, tip=SEND_REGION
    ),
    ActionSpec("Daemon", "whole_field", "Reconstruct the whole field", tip=WHOLE_FIELD),
    ActionSpec("Daemon", "settings", "Settings…", ("Ctrl+,",), begins_group=True, tip=SETTINGS),
    ActionSpec("Daemon", "reset_model", "Reset model…", tip=RESET_MODEL),
    ActionSpec("Help", "shortcuts", "Keyboard shortcuts", ("?", "F1"), "help"),
    ActionSpec("Help", "welcome", "First steps"),
    ActionSpec("Help", "about", "About Self-STORM live"),
)


def make_actions(window: QtWidgets.QMainWindow) -> dict[str, QtGui.QAction]:
    """All actions by name, in the window's menus."""
    actions: dict[str, QtGui.QAction] = {}
    menus: dict[str, QtWidgets.QMenu] = {}
    for spec in ACTIONS:
        menu = menus.get(spec.menu)
        if menu is None:
            menu = menus[spec.menu] = window.menuBar().addMenu(spec.menu)
            menu.setToolTipsVisible(True)
        if spec.begins_group:
            menu.addSeparator()
        action = QtGui.QAction(spec.text, window)
        action.setShortcuts([QtGui.QKeySequence(key) for key in spec.keys])
        if spec.checked is not None:
            action.setCheckable(True)
            action.setChecked(spec.checked)
        if spec.tip:
            action.setToolTip(spec.tip)
        menu.addAction(action)
        actions[spec.name] = action
    return actions


def make_tool_bar(actions: dict[str, QtGui.QAction], grip: QtWidgets.QWidget) -> QtWidgets.QToolBar:
    """A narrow bar of what is used most while looking. grip: to drag the picture by."""
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
    """Icons in the application's look."""
    for spec in ACTIONS:
        if spec.drawing:
            actions[spec.name].setIcon(icon(spec.drawing))
            actions[spec.name].setIconVisibleInMenu(False)


def enable_actions(actions: dict[str, QtGui.QAction], *, picture: bool, error_map: bool) -> None:
    """Grey out what makes no sense while there is no picture, or no error map."""
    for spec in ACTIONS:
        if spec.needs_picture:
            actions[spec.name].setEnabled(picture)
    actions["error_map"].setEnabled(error_map)
    actions["error_map"].setToolTip(ERROR_MAP if error_map else NO_ERROR_MAP)
