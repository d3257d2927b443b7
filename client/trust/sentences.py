"""Sentences of the viewer, made from the state. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from client.picture.pictures import FileRecord
from client.state import ViewerState
from client.timeline.playhead import TimeMark
from client.trust.freshness import silence_s
from daemon.protocol.findings import picture_verdict
from daemon.protocol.messages import Event, PictureHeader
from selfstorm.metrics.metric import duration_text
from selfstorm.metrics.metric_table import MetricTable
from selfstorm.metrics.registry import METRICS

MAX_NAMED_MISSING = 8
FRAME_FIELDS = {"first_seq", "last_seq", "frames"}
STORED_WORDS = {
    "frames": "frames",
    "missing": "missing frames",
    "grade": "quality",
    "scale": "magnification",
    "unit": "unit",
    "metrics": "metrics",
    "device": "device",
}


def empty_text(state: ViewerState, now: float) -> str:
    """Explain why there is no picture yet, and what to do."""
    if state.connection_refused:
        return f"Connection refused by {state.endpoint}\n\n{state.connection_refused}"
    if silence_s(state, now) is None and state.demo:
        return "The demo is starting.\n\nThe first picture comes within a minute."
    if silence_s(state, now) is None:
        start = "Start it with\n\nselfstorm-daemon run micromanager"
        other = "or connect to another address with\n\nselfstorm-viewer --daemon HOST:PORT"
        return f"Waiting for a daemon at {state.endpoint}\n\n{start}\n\n{other}"
    if silence_s(state, now):
        return f"The daemon at {state.endpoint} does not respond.\n\nThe viewer reconnects by itself."
    if state.status is None:
        return "Connected.\n\nWaiting for the first window."
    frames = f"{_several(state.status.frames.used, 'frame')} so far"
    detail = f"\n\n{state.status.detail}" if state.status.detail else ""
    return f"Connected, the daemon is {state.status.state}.\n\nWaiting for the first window: {frames}.{detail}"


def picture_lines(
    header: PictureHeader, metrics: MetricTable[Any] = METRICS, file: FileRecord | None = None
) -> tuple[str, ...]:
    """Describe a picture by its header, without its warnings.

    Of a saved picture, `file` says what its file does not state; that is left out, and named at the end.
    """
    absent = file.absent if file else frozenset()
    used = f"window {header.window}"
    if not absent & FRAME_FIELDS:
        used += f": frames {header.first_seq} to {header.last_seq}, {header.frames} used"
    missing = f"{header.missing} missing{_which(header)}" if header.missing else "none missing"
    size = "pixel size unknown" if header.pixel_nm is None else f"{header.pixel_nm:.4g} nm per pixel"
    finer = f"{header.scale}x finer than the camera"
    quality = f"quality {header.grade}"
    if header.effort not in ("", header.grade):
        quality += f" ({header.effort})"
    made = (
        f"model {header.model}" if header.model else "",
        header.estimate,
        "" if "grade" in absent else quality,
        size if "scale" in absent else f"{size}, {finer}",
        f"on {header.device}" if header.device else "",
    )
    steps = ", ".join(f"{name} {duration_text(took_ms)}" for name, took_ms in header.stage_ms.items())
    judged = picture_verdict(header)
    lines = (
        f"verdict: {judged.value}. {judged.explanation}" if judged else "",
        used if "missing" in absent else f"{used}, {missing}",
        " · ".join(part for part in made if part),
        metrics.line(header.metrics),
        f"optics: {header.optics}" if header.optics else "",
        f"fine-tuning of the optics {header.fine_tuning}" if header.fine_tuning else "",
        f"camera: {header.camera}" if header.camera else "",
        f"memory: {header.memory}" if header.memory else "",
        f"motion: {header.motion}" if header.motion else "",
        f"steps: {steps}" if steps else "",
        f"model hash: {header.model_hash}" if header.model_hash else "",
        *(file.lines if file else ()),
        _not_stored(absent),
    )
    return tuple(line for line in lines if line)


def _not_stored(absent: frozenset[str]) -> str:
    """Name what a file does not state; empty where it states everything."""
    words = [word for field, word in STORED_WORDS.items() if field in absent]
    return f"not stored in this file: {', '.join(words)}" if words else ""


def _which(header: PictureHeader) -> str:
    listed = header.missing_seqs[:MAX_NAMED_MISSING]
    if not listed:
        return ""
    return f" ({', '.join(map(str, listed))}{', …' if header.missing > len(listed) else ''})"


def event_line(event: Event) -> str:
    """Write an event on one line, in local time."""
    return f"{_clock(event.unix_ns)}  {event.level.upper()}  {' '.join(event.text.split())}  [{event.code}]"


def mark_line(mark: TimeMark) -> str:
    """Write a mark of the user's on one line."""
    return f"{_clock(mark.unix_ns)}  MARK  window {mark.window}"


def unreadable_line(state: ViewerState) -> str:
    """Count messages that could not be read; empty where there are none."""
    if not state.unreadable:
        return ""
    return f"WARNING  {_several(state.unreadable, 'message')} could not be read: {state.unreadable_text}"


def _clock(unix_ns: int) -> str:
    return f"{datetime.fromtimestamp(unix_ns / 1e9):%H:%M:%S}"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
