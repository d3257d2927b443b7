"""What the window says in words, made from the state. Pure; level is a word too, never a colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from client.freshness import seconds, silence_s
from client.state import ViewerState
from daemon.protocol.messages import Event, PictureHeader, Status

Level = Literal["good", "warning", "bad"]
MAX_NAMED_MISSING = 8


@dataclass(frozen=True, slots=True)
class StatusLine:
    """connection: one word or a short clause. details: clauses to be shown beside it."""

    level: Level
    connection: str
    details: tuple[str, ...]


def status_line(state: ViewerState, now: float) -> StatusLine:
    """Connection, frame rate, windows, latency, missing and dropped frames."""
    quiet_s = silence_s(state, now)
    if quiet_s is None:
        return StatusLine("warning", "waiting", (f"no daemon heard at {state.endpoint} yet",))
    if quiet_s:
        last = f"its last state was '{state.status.state}'" if state.status else "it has sent no status"
        silent = f"daemon silent for {seconds(quiet_s)}"
        return StatusLine("bad", f"disconnected / {silent}", (last, f"reconnecting to {state.endpoint}"))
    if state.status is None:
        return StatusLine("good", "connected", ("waiting for the daemon's first status",))
    level: Level = "good" if state.status.state not in ("failed", "ended") else "warning"
    return StatusLine(level, f"connected, {state.status.state}", _counts(state.status, state.skipped))


def _counts(status: Status, skipped: int) -> tuple[str, ...]:
    frames, windows = status.frames, status.windows
    rate = f"{status.rate_hz:.1f} frames/s"
    latency = "latency unknown" if status.latency_ms is None else f"latency {status.latency_ms:.0f} ms"
    missing = f"missing {frames.missing} of {_several(frames.sent, 'frame')}"
    dropped = f"dropped {_several(frames.rejected, 'frame')}, {_several(windows.skipped, 'window')}"
    optional = (
        (windows.failed, "window", "failed"),
        (frames.lost_at_source, "frame", "lost at the camera"),
        (frames.estimated_lost_in_outages, "frame", "lost in outages (estimate)"),
        (status.results_dropped, "result", "not sent"),
        (skipped, "window", "too fast to show"),
    )
    more = tuple(f"{_several(count, noun)} {fate}" for count, noun, fate in optional if count)
    detail = (status.detail,) if status.detail else ()
    return (rate, _several(windows.published, "window"), latency, missing, dropped, *more, *detail)


def empty_text(state: ViewerState, now: float) -> str:
    """What stands where the picture will be, and what to do about it."""
    if silence_s(state, now) is None:
        start = "Start it with\n\nselfstorm-daemon run CONFIG.toml"
        other = "or name another address with\n\nselfstorm-viewer --connect tcp://HOST:PORT"
        return f"Waiting for a daemon at {state.endpoint}\n\n{start}\n\n{other}"
    if silence_s(state, now):
        return f"The daemon at {state.endpoint} has fallen silent.\n\nThe viewer reconnects by itself."
    if state.status is None:
        return "Connected.\n\nWaiting for the first window."
    frames = f"{_several(state.status.frames.used, 'frame')} so far"
    said = f"\n\n{state.status.detail}" if state.status.detail else ""
    return f"Connected, the daemon is {state.status.state}.\n\nWaiting for the first window: {frames}.{said}"


def picture_lines(header: PictureHeader) -> tuple[str, ...]:
    """What the picture says of itself, less its warnings."""
    used = f"window {header.window}: frames {header.first_seq} to {header.last_seq}, {header.frames} used"
    missing = f"{header.missing} missing{_which(header)}" if header.missing else "none missing"
    size = "pixel size unknown" if header.pixel_nm is None else f"{header.pixel_nm:.4g} nm per pixel"
    made = (
        f"model {header.model}" if header.model else "",
        header.estimate,
        f"{size}, {header.scale}x finer than the camera",
        "" if header.misfit is None else f"misfit {header.misfit:.3g}",
        "" if header.latency_ms is None else f"latency {header.latency_ms:.0f} ms",
        f"on {header.device}" if header.device else "",
    )
    lines = (
        f"{used}, {missing}",
        " · ".join(part for part in made if part),
        f"optics: {header.optics}" if header.optics else "",
        f"fine-tuning of the optics {header.fine_tuning}" if header.fine_tuning else "",
        f"camera: {header.camera}" if header.camera else "",
    )
    return tuple(line for line in lines if line)


def _which(header: PictureHeader) -> str:
    listed = header.missing_seqs[:MAX_NAMED_MISSING]
    if not listed:
        return ""
    return f" ({', '.join(map(str, listed))}{', …' if header.missing > len(listed) else ''})"


def event_line(event: Event) -> str:
    """One event on one line, in local time."""
    when = datetime.fromtimestamp(event.unix_ns / 1e9)
    return f"{when:%H:%M:%S}  {event.level.upper()}  {' '.join(event.text.split())}  [{event.code}]"


def unreadable_line(state: ViewerState) -> str:
    """How many messages could not be used and why; empty when all could."""
    if not state.unreadable:
        return ""
    return f"WARNING  {_several(state.unreadable, 'message')} could not be read: {state.unreadable_text}"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
