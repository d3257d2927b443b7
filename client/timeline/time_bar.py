"""Row of time controls below the pictures.

Step, play, loop, time slider, position, mark, live.
"""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from client.presenter import Move
from client.state import ViewerState
from client.timeline.history import History
from client.timeline.playhead import Playhead, follow, mark, pause, play, position, seek, set_loop, step
from client.timeline.scrubber import Scrubber
from client.trust.freshness import seconds
from client.widgets.buttons import DrawnButton
from client.widgets.labels import named_label

POSITION_WIDTH_PX = 330


class TimeBar(QtWidgets.QWidget):
    """Time controls.

    `moved` is emitted with a change of the playhead (a presenter's Move).
    """

    moved = QtCore.Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._runs = True
        self.back = self._button("back", "One window back (Left)", lambda p, h, _: step(p, h, -1))
        self.play = self._button("play", "Pause or play (Space)", self._play_or_hold)
        self.forward = self._button("forward", "One window forward (Right)", lambda p, h, _: step(p, h, 1))
        self.loop = DrawnButton("loop", "Play in a loop (Shift+L)", checkable=True)
        self.loop.toggled.connect(lambda on: self.moved.emit(lambda p, _h, _n: set_loop(p, on)))
        self.mark = self._button("mark", "Mark this moment, or remove its mark (M)", lambda p, h, _: mark(p, h))
        self.live = QtWidgets.QPushButton("Live")
        self.live.setCheckable(True)
        self.live.setToolTip("Follow the newest window (L or End)")
        self.live.clicked.connect(lambda: self.moved.emit(lambda p, _h, _n: follow(p)))
        self.scrubber = Scrubber()
        self.scrubber.sought.connect(lambda number: self.moved.emit(lambda p, h, _: seek(p, h, number)))
        self.position_label = named_label("dim")
        self.position_label.setFixedWidth(POSITION_WIDTH_PX)
        self._lay_out()

    def _button(self, drawing: str, tip: str, move: Move) -> DrawnButton:
        button = DrawnButton(drawing, tip)
        button.clicked.connect(lambda: self.moved.emit(move))
        return button

    def _lay_out(self) -> None:
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for button in (self.back, self.play, self.forward, self.loop):
            row.addWidget(button)
        row.addWidget(self.scrubber, 1)
        row.addWidget(self.position_label)
        row.addWidget(self.mark)
        row.addWidget(self.live)

    def restyle(self) -> None:
        """Take on the application's look."""
        for button in (self.back, self.play, self.forward, self.loop, self.mark):
            button.restyle()

    def show_time(self, state: ViewerState, *, live: bool) -> None:
        """Show the position in time.

        Args:
            state: State of the viewer.
            live: Whether the newest window is up to date.
        """
        playhead, history = state.playhead, state.history
        self.scrubber.show_time(playhead, history, live=live and not state.movie)
        here = position(playhead, history)
        self._runs = playhead.playing or (playhead.at is None and not state.movie)
        self.play.draw("pause" if self._runs else "play")
        self.mark.draw("marked" if any(one.number == here for one in playhead.marks) else "mark")
        self.live.setChecked(playhead.at is None and live)
        self.live.setVisible(not state.movie)
        for button in (self.back, self.play, self.forward, self.mark):
            button.setEnabled(bool(history.pairs))
        self.position_label.setText(position_text(state))

    def _play_or_hold(self, playhead: Playhead, history: History, now: float) -> Playhead:
        return pause(playhead, history) if self._runs else play(playhead, history, now)


def position_text(state: ViewerState) -> str:
    """Describe the window on screen and how far back the memory reaches."""
    history, shown = state.history, state.shown
    if shown is None or history.newest is None:
        return "no window yet"
    oldest, newest = (pair.sr.header.published_unix_ns for pair in (history.pairs[0], history.newest))
    number = position(state.playhead, history) - history.first + 1
    count = f"picture {max(number, 0)} of {len(history.pairs)} in memory"
    return f"window {shown.sr.header.window}   ·   {count}   ·   {seconds(max(0, newest - oldest) / 1e9)}"
