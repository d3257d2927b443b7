"""Metadata of the picture: frames, model, optics, camera, and cautions."""

from __future__ import annotations

from PySide6 import QtWidgets

from client.picture.pictures import Picture
from client.trust.sentences import picture_lines
from client.widgets.labels import named_label
from selfstorm.frames import StreamInfo


class PictureFacts(QtWidgets.QScrollArea):
    """Scrolling text with the metadata of the picture, cautions first."""

    def __init__(self) -> None:
        super().__init__(widgetResizable=True)
        self.text = named_label("facts", wrap=True)
        self.cautions = named_label("notes", wrap=True)
        inner = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(inner)
        column.setContentsMargins(8, 4, 8, 4)
        column.setSpacing(2)
        column.addWidget(self.cautions)
        column.addWidget(self.text)
        column.addStretch(1)
        self.setWidget(inner)
        self.cautions.hide()

    def clear(self) -> None:
        """Clear the text."""
        self.text.clear()
        self.cautions.hide()

    def show_facts(self, picture: Picture, info: StreamInfo | None) -> None:
        """Describe a picture.

        `info` is used where it belongs to the picture's stream.
        """
        header = picture.header
        lines = picture_lines(header, file=picture.file)
        if info is not None and info.stream == header.stream:
            lines += (f"source: {info.source.rstrip(':')}, {info.width} x {info.height} pixels",)
        self.text.setText("\n".join(lines))
        self.cautions.setText("\n".join(f"NOTE  {note}" for note in header.notes))
        self.cautions.setVisible(bool(header.notes))
