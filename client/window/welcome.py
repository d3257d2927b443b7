"""Card with the first steps, shown until it is dismissed."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from client.widgets.labels import named_label

WIDTH_PX = 540
STEPS = (
    (
        "See",
        "The large picture is super-resolved, the small one is the mean of the same frames. Drag and wheel move both.",
    ),
    (
        "Trust",
        "The strip at the top shows whether you can trust the picture. Hover over a triangle or square for the remedy.",
    ),
    ("Go back", "Drag the time slider or press the arrow keys; Live returns to the newest window. M marks a moment."),
    (
        "Measure",
        "P measures along a line, in nanometres; R measures a region. 2 splits the view: raw | super-resolved.",
    ),
    (
        "Control",
        "The Daemon menu pauses, records and changes settings. The tool tip of a grey entry says why it is disabled.",
    ),
    (
        "Save",
        "The File menu saves the view, the data (32-bit OME-TIFF) or a movie.",
    ),
)
START = "No microscope at hand? The demo shows a simulated living cell."


class WelcomeCard(QtWidgets.QFrame):
    """Card with the first steps.

    Its buttons emit `dismissed` and `demo_wanted`.
    """

    dismissed = QtCore.Signal()
    demo_wanted = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget, over: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self._over = over
        over.installEventFilter(self)
        self.setObjectName("card")
        self.setFixedWidth(WIDTH_PX)
        self.setAutoFillBackground(True)
        self.demo = QtWidgets.QPushButton("Start the demo")
        self.demo.clicked.connect(self.demo_wanted)
        self.button = QtWidgets.QPushButton("Got it")
        self.button.clicked.connect(self.dismissed)
        grid = QtWidgets.QGridLayout(self)
        grid.setContentsMargins(24, 20, 24, 18)
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(9)
        grid.addWidget(named_label("title", "Super-resolution while you watch"), 0, 0, 1, 2)
        for row, (word, text) in enumerate(STEPS, 1):
            grid.addWidget(named_label("heading", word), row, 0, QtCore.Qt.AlignmentFlag.AlignTop)
            grid.addWidget(named_label("facts", text, wrap=True), row, 1, QtCore.Qt.AlignmentFlag.AlignTop)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(named_label("dim", START, wrap=True), 1)
        buttons.addWidget(self.demo)
        buttons.addWidget(self.button)
        grid.addLayout(buttons, len(STEPS) + 1, 0, 1, 2)
        grid.setColumnStretch(1, 1)

    def eventFilter(self, _watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Stay centred over the picture."""
        if event.type() in (QtCore.QEvent.Type.Resize, QtCore.QEvent.Type.Move):
            self._centre()
        return False

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        """Show the card in front, centred."""
        super().showEvent(event)
        self._centre()

    def _centre(self) -> None:
        self.adjustSize()
        target = QtCore.QRect(QtCore.QPoint(), self.size())
        target.moveCenter(self._over.geometry().center())
        self.move(target.topLeft())
        self.raise_()
