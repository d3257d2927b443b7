"""Age of the picture shown. Pure functions of the state and the time."""

from __future__ import annotations

from client.state import ViewerState
from daemon.protocol.findings import SILENT_AFTER_S

OLD_AFTER_S = 5.0
OLD_AFTER_INTERVALS = 3.0


def silence_s(state: ViewerState, now: float) -> float | None:
    """Measure a silence that is too long; 0.0 if not, None if not yet heard."""
    if state.heard_s is None:
        return None
    quiet_s = now - state.heard_s
    return quiet_s if quiet_s > SILENT_AFTER_S else 0.0


def picture_age_s(state: ViewerState, now: float) -> float | None:
    """Measure the time since the newest picture was published.

    A picture may be old on arrival (a viewer that connects late gets the last one), so the daemon's clock counts too:
    its newest status against the picture's time stamp. The two computers' clocks need not agree.
    """
    if state.newest is None:
        return None
    age_s = now - state.newest.at_s
    status, header = state.status, state.newest.sr.header
    if status is None or status.run != header.run or not status.sent_unix_ns:
        return age_s
    return max(age_s, (status.sent_unix_ns - header.published_unix_ns) / 1e9 + now - state.status_at_s)


def stale_reason(state: ViewerState, now: float) -> str:
    """Say why the newest picture is not live; empty where it is."""
    if state.newest is None or state.movie:
        return ""
    if state.connection_refused:
        return "NOT LIVE: the daemon refuses this viewer"
    quiet_s = silence_s(state, now)
    if quiet_s and not has_ended(state):
        return f"STALE: daemon silent for {seconds(quiet_s)}"
    if state.newest.sr.header.run != state.run:
        return "PREVIOUS RUN: waiting for the first window of the new one"
    if state.status is not None and has_ended(state):
        return f"NOT LIVE: the run has {state.status.state}, this is its last picture"
    age_s = picture_age_s(state, now) or 0.0
    if state.status is not None and state.status.paused:
        return f"PAUSED: this picture is {seconds(age_s)} old"
    if age_s > max(OLD_AFTER_S, OLD_AFTER_INTERVALS * _interval_s(state)):
        return f"OLD: no new picture for {seconds(age_s)}"
    return ""


def _interval_s(state: ViewerState) -> float:
    """Measure the time between two windows, or that of the first frames."""
    if state.interval_s is not None or state.newest is None or state.status is None or not state.status.rate_hz:
        return state.interval_s or 0.0
    return state.newest.sr.header.frames / state.status.rate_hz


def has_ended(state: ViewerState) -> bool:
    """Tell whether the run has ended; its daemon may then fall silent."""
    return state.status is not None and state.status.state in ("ended", "failed")


def past_text(state: ViewerState) -> str:
    """Write how far the user looks back; empty where the newest is shown."""
    if state.playhead.at is None or state.shown is None or state.newest is None or state.movie:
        return ""
    back_s = max(0, state.newest.sr.header.published_unix_ns - state.shown.sr.header.published_unix_ns) / 1e9
    return seconds(back_s)


def seconds(duration_s: float) -> str:
    """Write a duration in its largest unit: '7 s', '3 min', '2 h'."""
    if duration_s < 120:
        return f"{duration_s:.0f} s"
    return f"{duration_s / 60:.0f} min" if duration_s < 7200 else f"{duration_s / 3600:.0f} h"
