"""Dialog to connect to a daemon: address, key file, recent connections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6 import QtCore, QtWidgets

from client.widgets.labels import named_label
from daemon.protocol.address import USAGE, DaemonAddress
from daemon.transport.client_socket import load_key
from selfstorm.errors import InputError

EXPLANATION = f"Its computer's name, with the port of its results where that is not 5711: {USAGE}."
ABOUT_KEYS = (
    "A daemon on another machine requires a key. Create it there with: selfstorm-daemon keys new NAME. Add --control "
    "to allow this viewer to pause, record and change settings."
)
KEYS = "Keys (*.key);;All files (*)"
WIDTH_PX = 460

AskPath = Callable[[str, str, str], str]


class ConnectDialog(QtWidgets.QDialog):
    """Dialog that emits `chosen` with a valid Target whose key can be read.

    The strip then shows the connection.

    Args:
        parent: Window it belongs to.
        recent: Recent connections, the last one first.
        ask_open: (title, name, filter) -> path, empty for none.
    """

    chosen = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget, recent: tuple[DaemonAddress, ...], ask_open: AskPath) -> None:
        super().__init__(parent)
        self.setWindowTitle("Connect to a daemon")
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        self._recent, self._ask_open = {str(one): one for one in recent}, ask_open
        self.address = QtWidgets.QComboBox(editable=True)
        self.address.addItems(list(self._recent))
        self.address.setMinimumWidth(WIDTH_PX)
        self.key = QtWidgets.QLineEdit()
        self.key.setPlaceholderText("needed where the daemon asks for one; from: selfstorm-daemon keys new")
        self.browse = QtWidgets.QPushButton("Browse…")
        self.browse.clicked.connect(self._browse)
        self.address.currentTextChanged.connect(self._take_recent)
        self._filled = ""
        self.error_label = named_label("notes", wrap=True)
        kinds = QtWidgets.QDialogButtonBox.StandardButton
        self.buttons = QtWidgets.QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self.buttons.button(kinds.Ok).setText("Connect")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()
        self._take_recent(self.address.currentText())

    def _lay_out(self) -> None:
        keys = QtWidgets.QHBoxLayout()
        keys.addWidget(self.key, 1)
        keys.addWidget(self.browse)
        rows = QtWidgets.QFormLayout()
        rows.addRow("Daemon", self.address)
        rows.addRow("Key file", keys)
        column = QtWidgets.QVBoxLayout(self)
        column.addWidget(named_label("dim", EXPLANATION, wrap=True))
        column.addLayout(rows)
        column.addWidget(named_label("dim", ABOUT_KEYS, wrap=True))
        column.addWidget(self.error_label)
        column.addWidget(self.buttons)

    def _take_recent(self, address: str) -> None:
        """Fill in the key of a recent connection.

        That of another connection is removed.
        """
        known = self._recent.get(address.strip())
        proposed = "" if known is None else str(known.key or "")
        if known is not None or self.key.text() == self._filled:  # what the user has typed stays
            self.key.setText(proposed)
        self._filled = proposed

    def _browse(self) -> None:
        if path := self._ask_open("Key file of this daemon", "", KEYS):
            self.key.setText(path)

    def accept(self) -> None:
        """Emit the target, unless address or key cannot be used."""
        key = self.key.text().strip()
        try:
            target = DaemonAddress.of(self.address.currentText(), Path(key).expanduser().absolute() if key else None)
            if target.key is not None:
                load_key(target.key)
        except InputError as error:
            self.error_label.setText(str(error))
            self.adjustSize()
            return
        self.error_label.clear()
        self.chosen.emit(target)
        super().accept()
