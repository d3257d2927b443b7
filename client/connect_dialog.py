"""Which daemon to look at: an address typed, or one of the last."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from client.address import fault
from client.labels import named_label

EXPLANATION = "Where a daemon publishes its results: the address in its configuration, [server] results."


class ConnectDialog(QtWidgets.QDialog):
    """chosen: a well-formed address. It is not tried out here: the strip says how it goes."""

    chosen = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget, endpoint: str, recent: tuple[str, ...]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Connect to a daemon")
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        self.address = QtWidgets.QComboBox(editable=True)
        self.address.addItems([endpoint, *(one for one in recent if one != endpoint)])
        self.address.setMinimumWidth(420)
        self.fault = named_label("notes", wrap=True)
        kinds = QtWidgets.QDialogButtonBox.StandardButton
        self.buttons = QtWidgets.QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self.buttons.button(kinds.Ok).setText("Connect")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QtWidgets.QVBoxLayout(self)
        column.addWidget(named_label("dim", EXPLANATION, wrap=True))
        for part in (self.address, self.fault, self.buttons):
            column.addWidget(part)

    def accept(self) -> None:
        """Take the address, unless it is none."""
        address = self.address.currentText().strip()
        self.fault.setText(fault(address))
        self.adjustSize()
        if not self.fault.text():
            self.chosen.emit(address)
            super().accept()
