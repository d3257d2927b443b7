"""Dialog for the daemon's settings.

The daemon applies all changes or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from PySide6 import QtCore, QtWidgets

from client.controls.settings_form import SETTINGS, SettingField, changed_values, format_value
from client.widgets.labels import named_label
from selfstorm.errors import InputError

EXPLANATION = (
    "Changes apply to all viewers from the next window on. A new magnification, pixel size or PSF resets the model. "
    "Grey text is the value used when a field is left empty."
)
GAP_PX = 20
MAX_ROWS = 2 + max(Counter(setting.group for setting in SETTINGS).values())  # of a group, with heading and gap
WAITING = "Waiting for the daemon …"
Input = QtWidgets.QComboBox | QtWidgets.QLineEdit


class SettingsDialog(QtWidgets.QDialog):
    """Form with the settings of a daemon.

    `wanted` is emitted with the changes as `Daemon.set` takes them.

    Args:
        parent: Window it belongs to.
        settings: Present values by key, only of settings the daemon has.
    """

    wanted = QtCore.Signal(dict)

    def __init__(self, parent: QtWidgets.QWidget, settings: Mapping[str, Any]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Reconstruction settings")
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        self._settings = settings
        self.inputs = {
            setting.key: _input(setting, settings[setting.key]) for setting in SETTINGS if setting.key in settings
        }
        self.message = named_label("notes", wrap=True)
        kinds = QtWidgets.QDialogButtonBox.StandardButton
        self.buttons = QtWidgets.QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self.apply = self.buttons.button(kinds.Ok)
        self.apply.setText("Apply")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QtWidgets.QVBoxLayout(self)
        column.addWidget(named_label("dim", EXPLANATION, wrap=True))
        column.addLayout(self._form())
        column.addWidget(self.message)
        column.addWidget(self.buttons)

    def _form(self) -> QtWidgets.QGridLayout:
        """Lay the groups out in two columns, which fits a small screen."""
        groups = tuple(dict.fromkeys(setting.group for setting in SETTINGS))
        grid = QtWidgets.QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setColumnMinimumWidth(2, GAP_PX)
        for place, group in enumerate(groups):
            settings_of_group = [
                setting for setting in SETTINGS if setting.group == group and setting.key in self.inputs
            ]
            row, column = place // 2 * MAX_ROWS, place % 2 * 3
            grid.addWidget(named_label("heading", group), row, column, 1, 2)
            for below, setting in enumerate(settings_of_group, 1):
                grid.addWidget(QtWidgets.QLabel(setting.label), row + below, column)
                grid.addWidget(self.inputs[setting.key], row + below, column + 1)
            if row:
                grid.setRowMinimumHeight(row - 1, GAP_PX)
        return grid

    def accept(self) -> None:
        """Request the changes; the dialog closes once they are applied."""
        try:
            changes = changed_values(self._settings, {key: _text(part) for key, part in self.inputs.items()})
        except InputError as error:
            self.refuse(str(error))
            return
        if not changes:
            super().accept()
            return
        self.apply.setEnabled(False)
        self.message.setText(WAITING)
        self.wanted.emit(changes)

    def refuse(self, why: str) -> None:
        """Show why the changes were not applied; the input stays."""
        self.message.setText(why)
        self.apply.setEnabled(True)
        self.adjustSize()


def _input(setting: SettingField, value: Any) -> Input:
    if setting.kind == "choice":
        box = QtWidgets.QComboBox()
        known = dict(setting.choices)
        for choice in known if value in known else {value: "", **known}:
            box.addItem(known.get(choice, str(choice)), format_value(choice))
        box.setCurrentIndex(max(0, box.findData(format_value(value))))
        return box
    line = QtWidgets.QLineEdit(format_value(value))
    line.setPlaceholderText(setting.placeholder)
    line.setMinimumWidth(190)
    return line


def _text(part: Input) -> str:
    return str(part.currentData()) if isinstance(part, QtWidgets.QComboBox) else part.text()
