"""Events, newest first, with the user's marks and unreadable messages."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from client.state import ViewerState
from client.trust.sentences import event_line, mark_line, unreadable_line
from client.widgets.labels import named_label
from client.widgets.theme import theme
from daemon.protocol.messages import Event

LEVELS = {"info": "none", "warning": "warning", "error": "bad"}


class EventList(QtWidgets.QWidget):
    """A line for each event, with its time and level; counts unread ones."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[object, ...] = ()
        self._read_until_ns = 0
        self.unread = 0
        self.unreadable = named_label("notes", wrap=True)
        self.unreadable.hide()
        self.list = QtWidgets.QListWidget()
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.unreadable)
        column.addWidget(self.list)

    def restyle(self) -> None:
        """Take on the application's look, with the next state."""
        self._shown = ()

    def show_events(self, state: ViewerState) -> None:
        """Show the state's events and marks, and its count of unreadable messages."""
        text = unreadable_line(state)
        self.unreadable.setText(text)
        self.unreadable.setVisible(bool(text))
        self._count_unread(state.events)
        shown = (state.events, state.playhead.marks)
        if shown == self._shown:
            return
        self._shown, colours = shown, theme()
        self.list.clear()
        for one in reversed(state.playhead.marks):
            self._add(mark_line(one), colours.past)
        for event in reversed(state.events):
            self._add(event_line(event), colours.level(LEVELS[event.level]))

    def _count_unread(self, events: tuple[Event, ...]) -> None:
        """Count warnings and errors that arrived while the list was hidden."""
        if self.isVisible() and events:
            self._read_until_ns = max(event.unix_ns for event in events)
        self.unread = sum(event.level != "info" and event.unix_ns > self._read_until_ns for event in events)

    def _add(self, line: str, colour: str) -> None:
        item = QtWidgets.QListWidgetItem(line)
        item.setForeground(QtGui.QColor(colour))
        item.setToolTip(line)
        self.list.addItem(item)
