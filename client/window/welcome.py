"""The first start explains itself in one card, put away for good by its button."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from client.widgets.labels import named_label

WIDTH_PX = 540
STEPS = (
    (
        "See",
        "The large picture is super-resolved, the small one the mean of the same frames. Drag and wheel move both.",
    ),
    ("Trust", "The strip at the top says whether you may: a triangle or square comes with what to do about it."),
    ("Go back", "Drag the bar below, or press the arrow keys; Live brings you back. M marks a moment."),
    (
        "Measure",
        "P draws a line and gives its width in nanometres; R a region. 2 splits the picture against the raw one.",
    ),
    ("Control", "The Daemon menu pauses, records and changes settings; what is grey says why when you point at it."),
    ("Keep", "File saves the view, the data (32-bit OME-TIFF) or all windows kept. Closing this window stops nothing."),
)
START = "No daemon yet? In a terminal: selfstorm-daemon run configs/simulate.toml"


class WelcomeCard(QtWidgets.QFrame):
    """dismissed: the user has read it."""

    dismissed = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget, over: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self._over = over
        over.installEventFilter(self)
        self.setObjectName("card")
        self.setFixedWidth(WIDTH_PX)
        self.setAutoFillBackground(True)
        self.button = QtWidgets.QPushButton("Got it")
        self.button.clicked.connect(self.dismissed)
        grid = QtWidgets.QGridLayout(self)
        grid.setContentsMargins(24, 20, 24, 18)
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(9)
        grid.addWidget(named_label("title", "Super-resolution while you look"), 0, 0, 1, 2)
        for row, (word, text) in enumerate(STEPS, 1):
            grid.addWidget(named_label("heading", word), row, 0, QtCore.Qt.AlignmentFlag.AlignTop)
            grid.addWidget(named_label("facts", text, wrap=True), row, 1, QtCore.Qt.AlignmentFlag.AlignTop)
        grid.addWidget(named_label("dim", START, wrap=True), len(STEPS) + 1, 0, 1, 2)
        grid.addWidget(self.button, len(STEPS) + 2, 0, 1, 2, QtCore.Qt.AlignmentFlag.AlignRight)
        grid.setColumnStretch(1, 1)

    def eventFilter(self, _watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Stay in the middle of what it lies over."""
        if event.type() in (QtCore.QEvent.Type.Resize, QtCore.QEvent.Type.Move):
            self._centre()
        return False

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        """Lie over everything."""
        super().showEvent(event)
        self._centre()

    def _centre(self) -> None:
        self.adjustSize()
        there = QtCore.QRect(QtCore.QPoint(), self.size())
        there.moveCenter(self._over.geometry().center())
        self.move(there.topLeft())
        self.raise_()
