"""About 30 times a second: what has arrived -> the state -> the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from PySide6 import QtCore

from client.state import ViewerState, reduce_connection_refused, reduce_message, reduce_skipped, reduce_unreadable
from client.subscriber import UNREADABLE, Batch, ConnectionRefused
from client.timeline.history import History
from client.timeline.playhead import Playhead, advance

TICK_MS = 33

Move = Callable[[Playhead, History, float], Playhead]


class Source(Protocol):
    """Where batches of messages come from."""

    def drain(self) -> Batch: ...


class View(Protocol):
    """What can show a state."""

    def show_state(self, state: ViewerState, now: float) -> None: ...


class Presenter(QtCore.QObject):
    """Owns the state. clock: seconds, the one that stamped the arrivals."""

    ticked = QtCore.Signal()

    def __init__(self, source: Source, view: View, state: ViewerState, clock: Callable[[], float]) -> None:
        super().__init__()
        self._source = source
        self._view = view
        self._clock = clock
        self.state = state
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.tick)

    def begin(self, source: Source, state: ViewerState) -> None:
        """Show a state and keep it up to date from this source from now on."""
        self._source, self.state = source, state
        self.tick()
        self._timer.start()

    def stop(self) -> None:
        """Leave the window as it is."""
        self._timer.stop()

    def tick(self) -> None:
        """Take in what has arrived and show the outcome."""
        self.state = reduce_batch(self.state, self._source.drain())
        self.move(advance)
        self.ticked.emit()

    def change(self, reducer: Callable[[ViewerState], ViewerState]) -> None:
        """Take in what did not come with the messages; shown at once."""
        self.state = reducer(self.state)
        self._view.show_state(self.state, self._clock())

    def move(self, change: Move) -> None:
        """Look at another moment: what the user asked for, or where playing has got to; shown at once."""
        state, now = self.state, self._clock()
        self.state = replace(state, playhead=change(state.playhead, state.history, now))
        self._view.show_state(self.state, now)


def reduce_batch(state: ViewerState, batch: Batch) -> ViewerState:
    """Take in all of a batch, in the order of arrival."""
    before = state.windows
    for arrival in batch.arrivals:
        if isinstance(arrival.content, str):
            state = reduce_unreadable(state, arrival.content, 1 + batch.replaced[UNREADABLE])
        elif isinstance(arrival.content, ConnectionRefused):
            state = reduce_connection_refused(state, arrival.content.why)
        else:
            state = reduce_message(state, arrival.content, arrival.at_s)
    undrawn = max(state.windows - before - 1, 0)
    never_seen = max(batch.replaced["sr.refined"], batch.replaced["raw.mean"])
    return reduce_skipped(state, never_seen + undrawn)
