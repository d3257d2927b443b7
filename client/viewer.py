"""The main window: super-resolved beside raw, what the picture says of itself, events, status."""

from __future__ import annotations

from PySide6 import QtWidgets

from client.event_list import EventList
from client.field import field_of
from client.freshness import stale_reason
from client.labels import named_label
from client.linked_views import LinkedViews
from client.picture_notes import PictureNotes
from client.picture_panel import PicturePanel
from client.pictures import Pair
from client.sentences import empty_text, status_line
from client.state import ViewerState
from client.status_line import StatusLineWidget

SIZE_PX = (1280, 800)
PANEL_WIDTH_PX = 500  # wide enough for either panel's controls, so that both are always equally wide
FOOT_HEIGHT_PX = 118


class ViewerWindow(QtWidgets.QMainWindow):
    """Shows a ViewerState; keeps nothing but the pair it has drawn."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.setWindowTitle("Self-STORM live")
        self.resize(*SIZE_PX)
        self.sr = PicturePanel("Super-resolved", "fire")
        self.raw = PicturePanel("Raw mean", "grey")
        self.links = LinkedViews(leader=self.sr.view, follower=self.raw.view)
        self.notes = PictureNotes()
        self.events = EventList()
        self.status = StatusLineWidget()
        self._drawn: Pair | None = None
        self._add_toolbar(endpoint)
        self._lay_out()

    def _add_toolbar(self, endpoint: str) -> None:
        bar = QtWidgets.QToolBar(movable=False)
        bar.toggleViewAction().setEnabled(False)
        reset = bar.addAction("Reset view")
        reset.setToolTip("Show the whole field in both pictures")
        reset.triggered.connect(self.reset_view)
        space = QtWidgets.QWidget()
        space.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Preferred)
        bar.addWidget(space)
        bar.addWidget(named_label("endpoint", endpoint))
        self.addToolBar(bar)

    def _lay_out(self) -> None:
        grid = QtWidgets.QGridLayout()
        grid.addWidget(self.sr, 0, 0)
        grid.addWidget(self.raw, 0, 1)
        headings = ("About this picture", "Events")
        for column, (heading, widget) in enumerate(zip(headings, (self.notes, self.events), strict=True)):
            grid.addWidget(named_label("heading", heading), 1, column)
            grid.addWidget(widget, 2, column)
            widget.setFixedHeight(FOOT_HEIGHT_PX)
            grid.setColumnStretch(column, 1)
            grid.setColumnMinimumWidth(column, PANEL_WIDTH_PX)
        grid.addWidget(self.status, 3, 0, 1, 2)
        grid.setRowStretch(0, 1)
        grid.setContentsMargins(8, 4, 8, 4)
        centre = QtWidgets.QWidget()
        centre.setLayout(grid)
        self.setCentralWidget(centre)

    def reset_view(self) -> None:
        """Show the whole field in both pictures; the raw one follows."""
        self.sr.reset_view()

    def show_state(self, state: ViewerState, now: float) -> None:
        """Bring every panel up to date; pictures are drawn once each."""
        if state.shown is not None and state.shown is not self._drawn:
            self._draw(state.shown, state)
        stale = stale_reason(state, now)
        message = "" if state.shown is not None else empty_text(state, now)
        for panel in (self.sr, self.raw):
            panel.show_stale(stale)
        self.sr.show_message(message)
        self.raw.show_message("")
        self.events.show_events(state)
        self.status.show_line(status_line(state, now))

    def _draw(self, pair: Pair, state: ViewerState) -> None:
        self._drawn = pair
        field = field_of(pair)
        # The follower first: it then has its picture when the leader's range reaches it.
        if pair.raw is not None:
            self.raw.show_picture(pair.raw, field)
        self.sr.show_picture(pair.sr, field)
        self.notes.show_header(pair.sr.header, state.info)
