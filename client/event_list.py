"""The daemon's last events, newest first, and what the viewer itself could not read."""

from __future__ import annotations

from PySide6 import QtGui, QtWidgets

from client.labels import named_label
from client.look import LEVEL_COLOURS
from client.sentences import event_line, unreadable_line
from client.state import ViewerState
from daemon.protocol.messages import Event

COLOURS = {"info": "#aab2bd", "warning": LEVEL_COLOURS["warning"], "error": LEVEL_COLOURS["bad"]}


class EventList(QtWidgets.QWidget):
    """A short list; every line begins with its time and its level as a word."""

    def __init__(self) -> None:
        super().__init__()
        self._events: tuple[Event, ...] = ()
        self.unreadable = named_label("notes", wrap=True)
        self.unreadable.hide()
        self.list = QtWidgets.QListWidget()
        self.list.setWordWrap(True)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.unreadable)
        column.addWidget(self.list)

    def show_events(self, state: ViewerState) -> None:
        """Show the state's events and its count of unreadable messages."""
        text = unreadable_line(state)
        self.unreadable.setText(text)
        self.unreadable.setVisible(bool(text))
        if state.events is self._events:
            return
        self._events = state.events
        self.list.clear()
        for event in reversed(state.events):
            item = QtWidgets.QListWidgetItem(event_line(event))
            item.setForeground(QtGui.QColor(COLOURS[event.level]))
            item.setToolTip(event.text)
            self.list.addItem(item)
