"""Apply received messages to the state and show it, 30 times a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from PySide6 import QtCore

from client.state import (
    ViewerState,
    reduce_connection_refused,
    reduce_message,
    reduce_skipped,
    reduce_stood_still,
    reduce_unreadable,
)
from client.subscriber import UNREADABLE, ArrivalBatch, ConnectionRefused
from client.timeline.history import History
from client.timeline.playhead import Playhead, advance

TICK_MS = 33
MAX_STEP_S = 0.5  # between two ticks; what is more, the viewer itself stood still

Move = Callable[[Playhead, History, float], Playhead]


class MessageSource(Protocol):
    """A source of batches of messages."""

    def drain(self) -> ArrivalBatch:
        """Return the messages received since the last call."""


class StateView(Protocol):
    """A window that shows a state."""

    def show_state(self, state: ViewerState, now: float) -> None:
        """Show a state at a monotonic time, in seconds."""


class Presenter(QtCore.QObject):
    """Owner of the state.

    Args:
        source: Source of messages.
        view: Window that shows the state.
        state: State to begin with.
        clock: Monotonic time in seconds, the one that stamps the arrivals.
    """

    ticked = QtCore.Signal()

    def __init__(self, source: MessageSource, view: StateView, state: ViewerState, clock: Callable[[], float]) -> None:
        super().__init__()
        self._source = source
        self._view = view
        self._clock = clock
        self.state = state
        self._ticked_s = clock()
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.tick)

    def begin(self, source: MessageSource, state: ViewerState) -> None:
        """Show a state and keep it up to date from this source."""
        self._source, self.state, self._ticked_s = source, state, self._clock()
        self.tick()
        self._timer.start()

    def stop(self) -> None:
        """Stop updating the window."""
        self._timer.stop()

    def tick(self) -> None:
        """Apply what has arrived and show the result."""
        now = self._clock()
        late_s, self._ticked_s = now - self._ticked_s - MAX_STEP_S, now
        self.state = reduce_stood_still(reduce_batch(self.state, self._source.drain()), late_s, now)
        self.move(advance)
        self.ticked.emit()

    def change(self, reducer: Callable[[ViewerState], ViewerState]) -> None:
        """Apply a change that came with no message; shown at once."""
        self.state = reducer(self.state)
        self._view.show_state(self.state, self._clock())

    def move(self, change: Move) -> None:
        """Move the playhead, on the user's request or while playing.

        The move is shown at once.
        """
        state, now = self.state, self._clock()
        self.state = replace(state, playhead=change(state.playhead, state.history, now))
        self._view.show_state(self.state, now)


def reduce_batch(state: ViewerState, batch: ArrivalBatch) -> ViewerState:
    """Apply all messages of a batch in the order of arrival."""
    before = state.windows
    for arrival in batch.arrivals:
        if isinstance(arrival.content, str):
            state = reduce_unreadable(state, arrival.content, 1 + batch.replaced[UNREADABLE])
        elif isinstance(arrival.content, ConnectionRefused):
            state = reduce_connection_refused(state, arrival.content.why)
        else:
            state = reduce_message(state, arrival.content, arrival.at_s)
    not_drawn = max(state.windows - before - 1, 0)
    replaced = max(batch.replaced["sr.refined"], batch.replaced["raw.mean"])
    return reduce_skipped(state, replaced + not_drawn)
