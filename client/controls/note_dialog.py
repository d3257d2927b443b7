"""Dialog for a note about this moment, shared with all viewers."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from client.widgets.labels import named_label

MAX_NOTE_CHARACTERS = 200  # characters: the protocol's limit
EXPLANATION = "A note about this moment. All viewers list it, and the manifest keeps it where the run saves or records."
WIDTH_PX = 420


class NoteDialog(QtWidgets.QDialog):
    """Dialog with one line of text.

    `noted` is emitted with the text unless it is empty.
    """

    noted = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Add a note for all viewers")
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        self.line = QtWidgets.QLineEdit(maxLength=MAX_NOTE_CHARACTERS)
        self.line.setMinimumWidth(WIDTH_PX)
        kinds = QtWidgets.QDialogButtonBox.StandardButton
        buttons = QtWidgets.QDialogButtonBox(kinds.Ok | kinds.Cancel)
        buttons.button(kinds.Ok).setText("Add")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QtWidgets.QVBoxLayout(self)
        for part in (named_label("dim", EXPLANATION, wrap=True), self.line, buttons):
            column.addWidget(part)

    def accept(self) -> None:
        """Emit the note and close."""
        if text := self.line.text().strip():
            self.noted.emit(text)
        super().accept()
