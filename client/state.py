"""Viewer state and its reducers, (state, message, now) -> state.

No Qt, socket or clock.

A super-resolved picture and the raw mean of the same window and run are shown together or not at all. A preview is
shown until the refined picture of its window arrives, and never replaces one. `now` is a monotonic time in seconds,
from the same clock everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from client.access import ControlAccess
from client.picture.accumulated import AccumulatedPicture
from client.picture.pictures import Picture, PicturePair
from client.timeline.history import History
from client.timeline.playhead import Playhead, displayed_pair
from client.trust.trends import Trend
from daemon.protocol.codec import Received
from daemon.protocol.losses import LossTimes, note_losses
from daemon.protocol.messages import Event, MetricDescriptions, PictureHeader, Status
from selfstorm.frames import StreamInfo
from selfstorm.metrics.metric import MetricDescription
from selfstorm.metrics.metric_table import MetricTable
from selfstorm.metrics.registry import METRICS

MAX_EVENTS = 200
THIS_VIEWER = "this viewer"  # run of events that come from no daemon


@dataclass(frozen=True, slots=True, eq=False)
class ViewerState:
    """Everything the window shows.

    Attributes:
        endpoint: Address of the daemon's results; empty for a saved movie.
        movie: Name of the saved movie; empty while connected to a daemon.
        demo: Whether the daemon is that of the demo, which this viewer has started.
        run: Run of the newest message.
        heard_s: Time of the last heartbeat: a status message, or the first message of a run.
        info: Newest camera stream, which names no run.
        status, status_at_s: Newest status and its time of arrival.
        sr, raw, error, trust: Newest super-resolved picture, raw mean, error and trust map, not yet paired.
        accumulated: Newest picture of all frames of the scene.
        window_at_s: Time at which the newest window was first shown.
        interval_s: Time between the two newest windows.
        unreadable, unreadable_text: Number of messages that could not be decoded, and the last reason.
        connection_refused: Reason why the daemon rejects the connection; empty when it does not.
        access: Access to the daemon's control endpoint.
        skipped: Windows replaced by newer ones before they were drawn.
    """

    endpoint: str
    movie: str = ""
    demo: bool = False
    run: str = ""
    heard_s: float | None = None
    info: StreamInfo | None = None
    status: Status | None = None
    status_at_s: float = 0.0
    losses: LossTimes = field(default_factory=LossTimes)
    sr: Picture | None = None
    raw: Picture | None = None
    error: Picture | None = None
    trust: Picture | None = None
    accumulated: AccumulatedPicture = field(default_factory=AccumulatedPicture)
    history: History = field(default_factory=History)
    playhead: Playhead = field(default_factory=Playhead)
    metrics: MetricTable[MetricDescription] = field(default_factory=lambda: MetricTable(METRICS))
    trend: Trend = field(default_factory=Trend)
    window_at_s: float | None = None
    interval_s: float | None = None
    events: tuple[Event, ...] = ()
    unreadable: int = 0
    unreadable_text: str = ""
    connection_refused: str = ""
    access: ControlAccess = field(default_factory=ControlAccess)
    skipped: int = 0

    @property
    def newest(self) -> PicturePair | None:
        """Pictures of the newest window."""
        return self.history.newest

    @property
    def shown(self) -> PicturePair | None:
        """Pictures on screen, of the newest window unless the user went back."""
        return displayed_pair(self.playhead, self.history)

    @property
    def windows(self) -> int:
        """Number of windows received."""
        return self.history.count


def reduce_message(state: ViewerState, received: Received, now: float) -> ViewerState:
    """Apply one decoded message."""
    message = received.message
    state = _switch_run(state, getattr(message, "run", state.run), now)
    match message:
        case PictureHeader() if received.pixels is not None and received.kind == "raw.mean":
            return _pair_up(replace(state, raw=Picture(message, received.pixels, now)))
        case PictureHeader() if received.pixels is not None and received.kind == "quality":
            return _attach_map(replace(state, error=Picture(message, received.pixels, now)), "error")
        case PictureHeader() if received.pixels is not None and received.kind == "trust":
            return _attach_map(replace(state, trust=Picture(message, received.pixels, now)), "trust")
        case PictureHeader() if received.pixels is not None and received.kind == "accumulated":
            picture = Picture(message, received.pixels, now)
            return replace(state, accumulated=state.accumulated.with_picture(picture))
        case PictureHeader() if received.pixels is not None:
            return _add_sr(state, Picture(message, received.pixels, now, preview=received.kind == "sr.preview"))
        case Status():
            losses = note_losses(state.losses, state.status, message, now)
            return replace(state, status=message, status_at_s=now, heard_s=now, losses=losses)
        case MetricDescriptions():
            return replace(state, metrics=MetricTable(message.metrics))
        case Event():
            return _add_event(state, message)
        case StreamInfo():
            return replace(state, info=message)
    return reduce_unreadable(
        state, f"'{received.kind}' is not a results message; is this the address of a frame stream?"
    )


def reduce_unreadable(state: ViewerState, text: str, count: int = 1) -> ViewerState:
    """Count messages that could not be decoded and keep the reason."""
    return replace(state, unreadable=state.unreadable + count, unreadable_text=text)


def reduce_connection_refused(state: ViewerState, why: str) -> ViewerState:
    """Record why the daemon rejects the connection; an empty reason clears it."""
    return replace(state, connection_refused=why)


def reduce_access(state: ViewerState, access: ControlAccess) -> ViewerState:
    """Record a change of the access to the daemon's control."""
    return replace(state, access=access)


def reduce_refusal(state: ViewerState, text: str, unix_ns: int) -> ViewerState:
    """Add an event, in this viewer only, for a request that failed.

    The request was not carried out.
    """
    event = Event(run=THIS_VIEWER, number=unix_ns, unix_ns=unix_ns, level="warning", code="not_done", text=text[:2000])
    return _add_event(state, event)


def reduce_stood_still(state: ViewerState, seconds: float, now: float) -> ViewerState:
    """Leave out of a silence the time in which the viewer did nothing."""
    if state.heard_s is None or seconds <= 0:
        return state
    return replace(state, heard_s=min(state.heard_s + seconds, now))


def reduce_skipped(state: ViewerState, windows: int) -> ViewerState:
    """Count windows that newer ones replaced before they could be drawn."""
    return replace(state, skipped=state.skipped + windows)


def _switch_run(state: ViewerState, run: str, now: float) -> ViewerState:
    """Reset what belongs to the previous run.

    Its picture stays, marked, until the new run has one.
    """
    if run == state.run:
        return state
    state = replace(state, status=None, losses=LossTimes(), sr=None, raw=None, error=None, trust=None)
    state = replace(state, interval_s=None, accumulated=AccumulatedPicture())
    return replace(state, run=run, heard_s=now)


def _add_sr(state: ViewerState, sr: Picture) -> ViewerState:
    number = state.history.number_of(sr.window)
    known = None if number is None else state.history.get(number)
    if number is not None and known is not None:
        newer = sr.header.published_unix_ns > known.sr.header.published_unix_ns
        if not known.sr.preview or (sr.preview and not newer):
            return state  # the daemon repeats its last results whenever another viewer connects
        return _add_pair(state, replace(known, sr=sr), number)
    waits = state.sr is not None and state.sr.window == sr.window and not state.sr.preview
    if _is_outdated(state.newest, sr) or (waits and sr.preview):
        return state
    return _pair_up(replace(state, sr=sr))


def _pair_up(state: ViewerState) -> ViewerState:
    sr, raw = state.sr, state.raw
    if sr is None or raw is None or sr.window != raw.window or _is_outdated(state.newest, sr):
        return state
    return _attach_map(_attach_map(_add_pair(state, PicturePair(sr, raw), None), "error"), "trust")


def _attach_map(state: ViewerState, name: Literal["error", "trust"]) -> ViewerState:
    """Attach the newest error or trust map to its window.

    It may arrive before the window, or again for another viewer.
    """
    newest = state.error if name == "error" else state.trust
    number = None if newest is None else state.history.number_of(newest.window)
    known = None if number is None else state.history.get(number)
    if newest is None or number is None or known is None:
        return state
    before = known.error if name == "error" else known.trust
    if before is not None and before.header.published_unix_ns == newest.header.published_unix_ns:
        return state
    pair = replace(known, error=newest) if name == "error" else replace(known, trust=newest)
    if not pair.fits():
        text = f"the {name} map of {newest.header.shape} pixels does not match its picture"
        return reduce_unreadable(state, text)
    return replace(state, history=state.history.put(number, pair))


def _add_pair(state: ViewerState, pair: PicturePair, number: int | None) -> ViewerState:
    """Add a complete pair to the history.

    It is a new window, or, under `number`, the one that replaces a preview.
    """
    if not pair.fits():
        text = f"a picture of {pair.sr.header.shape} pixels does not match its raw mean"
        return reduce_unreadable(state, text)
    if number is not None:
        history = state.history.put(number, pair)
        return replace(state, history=history, trend=state.trend.with_window(number, pair))
    history = state.history.add(pair)
    trend = state.trend.with_window(history.last, pair)
    return replace(state, history=history, trend=trend, window_at_s=pair.at_s, interval_s=_interval_s(state, pair))


def _interval_s(state: ViewerState, pair: PicturePair) -> float | None:
    """Return the time between the newest window and this one, in seconds.

    It is measured by the viewer's or the daemon's clock, whichever is longer.

    A viewer that connects late gets the last picture at once, and the next one perhaps a moment later.
    """
    newest = state.newest
    if newest is None or state.window_at_s is None or newest.window[0] != pair.window[0]:
        return None
    published_ns = pair.sr.header.published_unix_ns - newest.sr.header.published_unix_ns
    return max(pair.at_s - state.window_at_s, published_ns / 1e9)


def _is_outdated(newest: PicturePair | None, sr: Picture) -> bool:
    """Return whether this window or a later one of its run is already shown."""
    return newest is not None and newest.window[0] == sr.window[0] and newest.window[1] >= sr.window[1]


def _add_event(state: ViewerState, event: Event) -> ViewerState:
    if any((event.run, event.number) == (known.run, known.number) for known in state.events):
        return state
    return replace(state, events=(*state.events, event)[-MAX_EVENTS:])
