"""What the viewer knows: a frozen state and reducers (state, message, now) -> state. No Qt, socket or clock.

A super-resolved picture and a raw mean are shown together or not at all: the reducers pair the halves of one window of
one run. A preview is shown until the refined picture of its window comes; never instead of one. `now` is any steadily
running clock in seconds; the same one everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from client.access import ControlAccess
from client.picture.pictures import Pair, Picture
from client.timeline.history import History
from client.timeline.playhead import Playhead, displayed_pair
from client.trust.losses import Losses, note_losses
from client.trust.trends import Sample, with_window
from daemon.protocol.codec import Received
from daemon.protocol.messages import Event, PictureHeader, Status
from selfstorm.frames import StreamInfo

MAX_EVENTS = 200
THIS_VIEWER = "this viewer"  # as the run of events that no daemon told


@dataclass(frozen=True, slots=True, eq=False)
class ViewerState:
    """Everything the window shows.

    Attributes:
        endpoint: Address of the daemon's results; empty for a saved movie.
        movie: Name of the saved movie; empty while connected to a daemon.
        run: Run of the newest message.
        heard_s: Time of the last heartbeat: a status message, or the first message of a run.
        info: Newest camera stream, which names no run.
        status, status_at_s: Newest status and its time of arrival.
        sr, raw, error: Newest super-resolved picture, raw mean and error map, not yet paired.
        window_at_s: Time at which the newest window was first shown.
        interval_s: Time between the two newest windows.
        unreadable, unreadable_text: Number of messages that could not be decoded, and the last reason.
        connection_refused: Reason why the daemon rejects the connection; empty when it does not.
        access: Access to the daemon's control endpoint.
        skipped: Windows replaced by newer ones before they were drawn.
    """

    endpoint: str
    movie: str = ""
    run: str = ""
    heard_s: float | None = None
    info: StreamInfo | None = None
    status: Status | None = None
    status_at_s: float = 0.0
    losses: Losses = field(default_factory=Losses)
    sr: Picture | None = None
    raw: Picture | None = None
    error: Picture | None = None
    history: History = field(default_factory=History)
    playhead: Playhead = field(default_factory=Playhead)
    trend: tuple[Sample, ...] = ()
    window_at_s: float | None = None
    interval_s: float | None = None
    events: tuple[Event, ...] = ()
    unreadable: int = 0
    unreadable_text: str = ""
    connection_refused: str = ""
    access: ControlAccess = field(default_factory=ControlAccess)
    skipped: int = 0

    @property
    def newest(self) -> Pair | None:
        """The pair of the newest window."""
        return self.history.newest

    @property
    def shown(self) -> Pair | None:
        """The pair looked at: the newest, unless the user went back."""
        return displayed_pair(self.playhead, self.history)

    @property
    def windows(self) -> int:
        """How many windows there were to show."""
        return self.history.count


def reduce_message(state: ViewerState, received: Received, now: float) -> ViewerState:
    """Take in one decoded message."""
    message = received.message
    state = _meet_run(state, getattr(message, "run", state.run), now)
    match message:
        case PictureHeader() if received.pixels is not None and received.kind == "raw.mean":
            return _pair_up(replace(state, raw=Picture(message, received.pixels, now)))
        case PictureHeader() if received.pixels is not None and received.kind == "quality":
            return _take_error(replace(state, error=Picture(message, received.pixels, now)))
        case PictureHeader() if received.pixels is not None:
            return _take_sr(state, Picture(message, received.pixels, now, preview=received.kind == "sr.preview"))
        case Status():
            losses = note_losses(state.losses, state.status, message, now)
            return replace(state, status=message, status_at_s=now, heard_s=now, losses=losses)
        case Event():
            return _take_event(state, message)
        case StreamInfo():
            return replace(state, info=message)
    return reduce_unreadable(state, f"'{received.kind}' messages are not results: is this a frame stream's address?")


def reduce_unreadable(state: ViewerState, text: str, count: int = 1) -> ViewerState:
    """Count messages that could not be used and keep why."""
    return replace(state, unreadable=state.unreadable + count, unreadable_text=text)


def reduce_connection_refused(state: ViewerState, why: str) -> ViewerState:
    """The daemon does not let us in; or, without a reason, does again."""
    return replace(state, connection_refused=why)


def reduce_access(state: ViewerState, access: ControlAccess) -> ViewerState:
    """Something else is known of the way to the daemon's control."""
    return replace(state, access=access)


def reduce_refusal(state: ViewerState, text: str, unix_ns: int) -> ViewerState:
    """What was asked of the daemon was not done: a line among the events, for this viewer alone."""
    event = Event(run=THIS_VIEWER, number=unix_ns, unix_ns=unix_ns, level="warning", code="not_done", text=text[:2000])
    return _take_event(state, event)


def reduce_skipped(state: ViewerState, windows: int) -> ViewerState:
    """Count windows that were replaced by newer ones before they could be drawn."""
    return replace(state, skipped=state.skipped + windows)


def _meet_run(state: ViewerState, run: str, now: float) -> ViewerState:
    """Forget what belonged to another run; the picture stays, and is marked, until the new run has one."""
    if run == state.run:
        return state
    state = replace(state, status=None, losses=Losses(), sr=None, raw=None, error=None, interval_s=None)
    return replace(state, run=run, heard_s=now)


def _take_sr(state: ViewerState, sr: Picture) -> ViewerState:
    number = state.history.number_of(sr.window)
    known = None if number is None else state.history.get(number)
    if number is not None and known is not None:
        if sr.preview or not known.sr.preview:
            return state  # the daemon sends its last results again whenever another viewer joins
        return _show(state, replace(known, sr=sr), number)
    waits = state.sr is not None and state.sr.window == sr.window and not state.sr.preview
    if _comes_late(state.newest, sr) or (waits and sr.preview):
        return state
    return _pair_up(replace(state, sr=sr))


def _pair_up(state: ViewerState) -> ViewerState:
    sr, raw = state.sr, state.raw
    if sr is None or raw is None or sr.window != raw.window or _comes_late(state.newest, sr):
        return state
    return _take_error(_show(state, Pair(sr, raw), None))


def _take_error(state: ViewerState) -> ViewerState:
    """Lay the newest error map by its window's pictures; it may come before them, and again for another viewer."""
    error = state.error
    number = None if error is None else state.history.number_of(error.window)
    known = None if number is None else state.history.get(number)
    if error is None or number is None or known is None:
        return state
    if known.error is not None and known.error.header.published_unix_ns == error.header.published_unix_ns:
        return state
    pair = replace(known, error=error)
    if not pair.fits():
        return reduce_unreadable(state, f"an error map of {error.header.shape} does not cover the field of its picture")
    return replace(state, history=state.history.put(number, pair))


def _show(state: ViewerState, pair: Pair, number: int | None) -> ViewerState:
    """Take a complete pair into the history: a new window, or, under its number, what replaces a preview."""
    if not pair.fits():
        text = f"a picture of {pair.sr.header.shape} does not cover the field of its raw mean"
        return reduce_unreadable(state, text)
    if number is not None:
        history = state.history.put(number, pair)
        return replace(state, history=history, trend=with_window(state.trend, number, pair))
    history = state.history.add(pair)
    trend = with_window(state.trend, history.last, pair)
    return replace(state, history=history, trend=trend, window_at_s=pair.at_s, interval_s=_interval_s(state, pair))


def _interval_s(state: ViewerState, pair: Pair) -> float | None:
    """From the newest window to this one, by the viewer's clock or the daemon's, whichever is longer.

    Who joins late gets the last picture at once, and the next one perhaps a moment later.
    """
    newest = state.newest
    if newest is None or state.window_at_s is None or newest.window[0] != pair.window[0]:
        return None
    published_ns = pair.sr.header.published_unix_ns - newest.sr.header.published_unix_ns
    return max(pair.at_s - state.window_at_s, published_ns / 1e9)


def _comes_late(newest: Pair | None, sr: Picture) -> bool:
    """Whether this window or a later one of its run is shown already."""
    return newest is not None and newest.window[0] == sr.window[0] and newest.window[1] >= sr.window[1]


def _take_event(state: ViewerState, event: Event) -> ViewerState:
    if any((event.run, event.number) == (known.run, known.number) for known in state.events):
        return state
    return replace(state, events=(*state.events, event)[-MAX_EVENTS:])
