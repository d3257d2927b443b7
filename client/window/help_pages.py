"""Pages of the Help menu: shortcuts and About."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from PySide6 import QtCore, QtGui, QtWidgets

from client.widgets.labels import named_label
from client.window.action_table import ACTIONS

GROUP_GAP_PX = 10
ABOUT = """Self-STORM live {version}

Super-resolution while the cell is still alive, learned from the frames themselves.
Closing the viewer does not stop the daemon or the microscope.

Method: Self-STORM, arXiv 2403.16974. License: BSD-3-Clause.
Made with Qt for Python (LGPL) and pyqtgraph (MIT)."""
MOUSE = (
    ("Drag", "move both pictures"),
    ("Wheel", "zoom both pictures at the mouse"),
    ("Drag the handle", "in the tool bar: the picture as a file into Fiji or napari"),
    ("Drag the line", "in the split view: more of one picture or the other"),
)


def shortcuts_page(parent: QtWidgets.QWidget) -> QtWidgets.QDialog:
    """Make the page of shortcuts, in the order of the menus."""
    dialog = QtWidgets.QDialog(parent)
    dialog.setWindowTitle("Keyboard shortcuts")
    columns = QtWidgets.QHBoxLayout()
    columns.setSpacing(28)
    for menus in (("File", "View"), ("Time", "Tools"), ("Daemon", "Help")):
        column = QtWidgets.QGridLayout()
        column.setHorizontalSpacing(14)
        column.setVerticalSpacing(3)
        for menu in menus:
            _add_rows(column, menu, [(_keys(one.keys), one.text) for one in ACTIONS if one.menu == menu and one.keys])
        if "Help" in menus:
            _add_rows(column, "Mouse", MOUSE)
        columns.addLayout(column)
        columns.setAlignment(column, QtCore.Qt.AlignmentFlag.AlignTop)
    return _finish(dialog, columns)


def about_page(parent: QtWidgets.QWidget) -> QtWidgets.QDialog:
    """Make the About page: name, version, method, license."""
    dialog = QtWidgets.QDialog(parent)
    dialog.setWindowTitle("About Self-STORM live")
    row = QtWidgets.QHBoxLayout()
    row.addWidget(named_label("facts", ABOUT.format(version=version("selfstorm"))))
    return _finish(dialog, row)


def _add_rows(grid: QtWidgets.QGridLayout, heading: str, rows: Iterable[tuple[str, str]]) -> None:
    if grid.count():
        grid.setRowMinimumHeight(grid.rowCount(), GROUP_GAP_PX)
    grid.addWidget(named_label("heading", heading), grid.rowCount(), 0, 1, 2)
    for keys, what in rows:
        row = grid.rowCount()
        grid.addWidget(named_label("value", keys), row, 0)
        grid.addWidget(QtWidgets.QLabel(what), row, 1)


def _keys(keys: tuple[str, ...]) -> str:
    native = QtGui.QKeySequence.SequenceFormat.NativeText
    return ", ".join(QtGui.QKeySequence(key).toString(native) for key in keys)


def _finish(dialog: QtWidgets.QDialog, content: QtWidgets.QLayout) -> QtWidgets.QDialog:
    dialog.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
    buttons = QtWidgets.QDialogButtonBox(QtWidgets.QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.close)
    outer = QtWidgets.QVBoxLayout(dialog)
    outer.addLayout(content)
    outer.addWidget(buttons)
    return dialog
