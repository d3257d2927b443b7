"""What the viewer knows: a frozen state and reducers (state, message, now) -> state. No Qt, socket or clock.

A super-resolved picture and a raw mean are shown together or not at all: the reducers pair the halves of one
window of one run. `now` is any steadily running clock in seconds; the same one everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from daemon.protocol.codec import Received
from daemon.protocol.messages import Event, PictureHeader, Status
from selfstorm.frames import Array, StreamInfo

MAX_EVENTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One received picture. pixels: (H, W) float32, read-only. at_s: when it arrived."""

    header: PictureHeader
    pixels: Array
    at_s: float

    @property
    def window(self) -> tuple[str, int]:
        """The run and number of the window it was made from."""
        return self.header.run, self.header.window


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The two pictures of one window. sr: (s*H, s*W); raw: (H, W)."""

    sr: Picture
    raw: Picture

    @property
    def at_s(self) -> float:
        """When the pair was complete."""
        return max(self.sr.at_s, self.raw.at_s)


@dataclass(frozen=True, slots=True, eq=False)
class ViewerState:
    """Everything the window shows.

    run: of the newest message. heard_s: the last sign of life: a status message, or a run's first message.
    info: of the newest stream, which names no run. sr, raw: the newest halves. shown: the newest complete
    pair; windows: how many there were; interval_s: the time between the last two. unreadable: messages that
    could not be used. skipped: windows replaced by newer ones before they were drawn.
    """

    endpoint: str
    run: str = ""
    heard_s: float | None = None
    info: StreamInfo | None = None
    status: Status | None = None
    status_at_s: float = 0.0
    sr: Picture | None = None
    raw: Picture | None = None
    shown: Pair | None = None
    windows: int = 0
    interval_s: float | None = None
    events: tuple[Event, ...] = ()
    unreadable: int = 0
    unreadable_text: str = ""
    skipped: int = 0


def reduce_message(state: ViewerState, received: Received, now: float) -> ViewerState:
    """Take in one decoded message."""
    message = received.message
    state = _meet_run(state, getattr(message, "run", state.run), now)
    match message:
        case PictureHeader() if received.pixels is not None:
            return _take_half(state, received.kind, Picture(message, received.pixels, now))
        case Status():
            return replace(state, status=message, status_at_s=now, heard_s=now)
        case Event():
            return _take_event(state, message)
        case StreamInfo():
            return replace(state, info=message)
    return reduce_unreadable(state, f"'{received.kind}' messages are not results: is this a frame stream's address?")


def reduce_unreadable(state: ViewerState, text: str, count: int = 1) -> ViewerState:
    """Count messages that could not be used and keep why."""
    return replace(state, unreadable=state.unreadable + count, unreadable_text=text)


def reduce_skipped(state: ViewerState, windows: int) -> ViewerState:
    """Count windows that were replaced by newer ones before they could be drawn."""
    return replace(state, skipped=state.skipped + windows)


def _meet_run(state: ViewerState, run: str, now: float) -> ViewerState:
    """Forget what belonged to another run; the picture stays, and is marked, until the new run has one."""
    if run == state.run:
        return state
    return replace(state, run=run, heard_s=now, status=None, sr=None, raw=None, interval_s=None)


def _take_half(state: ViewerState, kind: str, picture: Picture) -> ViewerState:
    if kind == "sr.preview":
        return state
    state = replace(state, sr=picture) if kind == "sr.refined" else replace(state, raw=picture)
    sr, raw = state.sr, state.raw
    if sr is None or raw is None or sr.window != raw.window or _already_shown(state.shown, sr):
        return state
    scale, (height, width) = sr.header.scale, raw.header.shape
    if sr.header.shape != (scale * height, scale * width):
        text = f"a picture of {sr.header.shape} does not cover a field of {raw.header.shape} at scale {scale}"
        return reduce_unreadable(state, text)
    pair = Pair(sr, raw)
    same_run = state.shown is not None and state.shown.sr.header.run == sr.header.run
    interval_s = pair.at_s - state.shown.at_s if state.shown is not None and same_run else None
    return replace(state, shown=pair, windows=state.windows + 1, interval_s=interval_s)


def _already_shown(shown: Pair | None, sr: Picture) -> bool:
    """The daemon sends its last result again whenever another viewer joins."""
    return shown is not None and shown.sr.header.run == sr.header.run and shown.sr.header.window >= sr.header.window


def _take_event(state: ViewerState, event: Event) -> ViewerState:
    if any((event.run, event.number) == (known.run, known.number) for known in state.events):
        return state
    return replace(state, events=(*state.events, event)[-MAX_EVENTS:])
