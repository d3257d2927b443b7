"""Can what is shown be believed? One lamp a subject: its value, a level, and a sentence why and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from client.state import ViewerState
from client.trust.freshness import past_text, seconds, silence_s, stale_reason
from client.trust.losses import missing_frames, slow_windows
from client.trust.trends import last_known
from daemon.protocol.messages import Status
from daemon.sources.kinds import loss_of

Level = Literal["good", "warning", "bad", "none"]
SEVERITY = {"none": 0, "good": 1, "warning": 2, "bad": 3}
NEWS_S = 60.0
SLOW_RATE = 0.8
LATE_MS, VERY_LATE_MS = 5_000.0, 15_000.0
TRUSTED_MISFIT, BAD_MISFIT = 0.1, 0.3
TRUSTED_AGREEMENT, BAD_AGREEMENT = 0.9, 0.7
FEW, MANY = 0.001, 0.01
FEW_WINDOWS, MANY_WINDOWS = 0.1, 0.5


@dataclass(frozen=True, slots=True)
class Indicator:
    """why: a sentence; for 'good' it says what the value means."""

    name: str
    value: str
    level: Level
    why: str


def indicators(state: ViewerState, now: float) -> tuple[Indicator, ...]:
    """All of them, in the same order; the last ones as soon as the daemon has estimated what they say."""
    connection = _connection(state, now)
    status = state.status
    if state.movie:
        return (connection,)
    if status is None or connection.level == "bad":
        unknown = "Known as soon as the daemon is heard."
        names = ("Camera", "Window", "Latency", "Missing", "Rejected", "Skipped", "Model", "Misfit")
        estimates = (one.name for one in _estimates(state))
        return (connection, *(Indicator(name, "–", "none", unknown) for name in (*names, *estimates)))
    return (
        connection,
        _camera(state, status),
        _window(state, status, now),
        _latency(state, status),
        _missing(state, status, now),
        _rejected(state, status, now),
        _skipped(state, status, now),
        _model(state),
        _misfit(state),
        *_estimates(state),
    )


def sentence(shown: tuple[Indicator, ...], beside: str = "") -> tuple[Level, str]:
    """What to read first: the gravest lamps' sentences, or what else there is to know (aside), or that all is well."""
    worst = max(shown, key=lambda lamp: SEVERITY[lamp.level]).level
    if worst in ("warning", "bad"):
        return worst, "   ·   ".join(f"{lamp.name}: {lamp.why}" for lamp in shown if lamp.level == worst)
    if beside:
        return "none", beside
    if len(shown) == 1:
        return worst, shown[0].why
    return worst, "All is well: every frame is accounted for, and the picture is what the microscope sees now."


def note(state: ViewerState) -> str:
    """What must be known of the picture looked at though nothing is wrong; empty for the newest refined one."""
    if state.shown is None:
        return "There is no picture yet: the first comes after one window of frames."
    if past := past_text(state):
        return f"You look back, {past} before the newest. The microscope goes on unseen: press End to go back to live."
    if state.shown.sr.preview and not state.movie:
        return "This is a preview, the density at once; the refined picture of the same window follows."
    return ""


def _connection(state: ViewerState, now: float) -> Indicator:
    if state.movie:
        return Indicator("File", state.movie, "good", "A saved movie: nothing is live here.")
    quiet_s, status = silence_s(state, now), state.status
    if state.connection_refused:
        return Indicator("Daemon", "refused", "bad", f"{state.endpoint}: {state.connection_refused}.")
    if quiet_s is None and state.unreadable:
        why = f"{state.endpoint} sends what this viewer cannot read: {state.unreadable_text}."
        return Indicator("Daemon", "unreadable", "bad", why)
    if quiet_s is None:
        why = f"No daemon heard at {state.endpoint} yet: start selfstorm-daemon, or choose File > Connect."
        return Indicator("Daemon", "waiting", "warning", why)
    if quiet_s:
        why = f"Nothing heard from {state.endpoint} for {seconds(quiet_s)}: look whether the daemon still runs and the "
        return Indicator("Daemon", "disconnected", "bad", why + "network is there; the viewer reconnects by itself.")
    if status is None:
        return Indicator("Daemon", "connected", "good", "Waiting for the daemon's first status.")
    detail = status.detail.rstrip(".")
    match status.state:
        case "failed":
            return Indicator(
                "Daemon", "failed", "bad", f"{detail or 'The run has failed'}: see the daemon's own window."
            )
        case "ended":
            return Indicator("Daemon", "ended", "warning", "The run has ended; this is its last picture.")
        case "waiting":
            return Indicator(
                "Daemon", "waiting", "warning", f"{detail or 'No camera yet: press Live in Micro-Manager'}."
            )
        case "starting" | "draining":
            return Indicator("Daemon", status.state, "good", "The daemon is starting, or finishing what it has.")
    if status.paused:
        why = "Somebody has paused it: frames are taken in and counted, no picture is made. Daemon > Resume goes on."
        return Indicator("Daemon", "paused", "warning", why)
    return Indicator("Daemon", "running", "good", f"Connected to {state.endpoint}.")


def _camera(state: ViewerState, status: Status) -> Indicator:
    value, wanted_hz = f"{status.rate_hz:.1f} /s", state.info.rate_hz if state.info else None
    if status.state == "running" and not status.rate_hz:
        why = "No frames come: is the camera live, and its process alive? Events says more."
        return Indicator("Camera", value, "bad", why)
    if wanted_hz and status.state == "running" and status.rate_hz < SLOW_RATE * wanted_hz:
        why = f"Only {status.rate_hz:.0f} of {wanted_hz:.0f} frames a second come: the camera or its computer is slow."
        return Indicator("Camera", value, "warning", why)
    return Indicator("Camera", value, "good", "Frames a second that arrive at the daemon.")


def _window(state: ViewerState, status: Status, now: float) -> Indicator:
    failed = status.windows.failed
    if state.newest is None:
        return Indicator("Window", "–", "none", "The first picture comes after one window of frames.")
    header, stale = state.newest.sr.header, stale_reason(state, now)
    value = f"{header.window}"
    if _recent(state.losses.failed_s, now):
        why = f"{failed} of {status.windows.complete} windows failed, lately too: Events says why."
        return Indicator("Window", value, "bad", why)
    if stale and status.state == "running" and not status.paused:
        return Indicator("Window", value, "warning", f"{stale}.")
    if header.missing:
        total = header.missing + header.frames
        why = f"{header.missing} of the {total} frames of window {header.window} never arrived: it is made of fewer."
        return Indicator("Window", value, "warning", why)
    return Indicator(
        "Window", value, "good", f"Frames {header.first_seq} to {header.last_seq}, {header.frames} of them."
    )


def _latency(state: ViewerState, status: Status) -> Indicator:
    stage = next((one for one in status.latencies if one.stage == "refined"), None)
    latency_ms = stage.p50_ms if stage else status.latency_ms
    if latency_ms is None:
        return Indicator("Latency", "–", "none", "Known with the first picture.")
    value = duration(latency_ms)
    usual = f" (95 of 100: {duration(stage.p95_ms)})" if stage else ""
    level: Level = "bad" if latency_ms > VERY_LATE_MS else "warning" if latency_ms > LATE_MS else "good"
    if level != "good":
        why = f"The picture is {value} old when it comes{usual}: take a smaller field, a lower quality, or a GPU."
        return Indicator("Latency", value, level, why)
    return Indicator("Latency", value, "good", f"From a window's last frame to its refined picture{usual}.")


def _missing(state: ViewerState, status: Status, now: float) -> Indicator:
    frames, count = status.frames, missing_frames(status)
    level = _loss(count, frames.sent + frames.lost_at_source, state.losses.missing_s, now, FEW, MANY)
    if level == "good":
        return Indicator("Missing", f"{count}", "good", f"Frames that never arrived, of {frames.sent} sent.")
    parts = (
        (frames.missing, "on the way: the network or a busy computer"),
        (frames.lost_at_source, loss_of(status.source).place),
        (frames.estimated_lost_in_outages, "while the camera process was away (estimate)"),
    )
    where = ", ".join(f"{lost} {fate}" for lost, fate in parts if lost)
    return Indicator("Missing", f"{count}", level, f"{count} of {frames.sent} frames never arrived ({where}).")


def _rejected(state: ViewerState, status: Status, now: float) -> Indicator:
    frames = status.frames
    level = _loss(frames.rejected, frames.received, state.losses.rejected_s, now, FEW, MANY)
    if level == "good":
        return Indicator("Rejected", f"{frames.rejected}", "good", "Frames that arrived and could not be used.")
    why = f"{frames.rejected} of {frames.received} frames have another size or type: was the camera's field changed?"
    return Indicator("Rejected", f"{frames.rejected}", level, why)


def _skipped(state: ViewerState, status: Status, now: float) -> Indicator:
    windows, skipped = status.windows, slow_windows(status)
    paused = windows.skipped_while_paused
    wanted, value = windows.complete - paused, f"{windows.skipped}"
    besides = f" {paused} more while it was paused." if paused else ""
    level = _loss(skipped, wanted, None, now, FEW_WINDOWS, MANY_WINDOWS)
    if level == "good" and not _recent(state.losses.skipped_s, now):
        return Indicator(
            "Skipped", value, "good", f"{skipped} of {wanted} windows without a picture, none lately.{besides}"
        )
    why = f"{skipped} of {wanted} windows have no picture: the computer cannot follow the camera; "
    level = "warning" if level == "good" else level
    return Indicator(
        "Skipped", value, level, f"{why}take a longer stride, a smaller field, or a lower quality.{besides}"
    )


def _model(state: ViewerState) -> Indicator:
    named = state.newest.sr.header.state if state.newest else ""
    named = (state.status.model_state if state.status else "") or named
    sentences = {
        "cold": "Nothing was known of this scene before: the next windows will be better.",
        "scene changed": "Another scene than before: what was learned is forgotten, the next windows will be better.",
        "rolled back": "This window was not learned from, the model before it was kept: About this picture says why.",
    }
    if not named:
        return Indicator("Model", "–", "none", "Known with the first picture.")
    if named in sentences:
        return Indicator("Model", named, "warning", sentences[named])
    return Indicator("Model", named, "good", "The model goes on from what earlier windows taught it.")


def _misfit(state: ViewerState) -> Indicator:
    misfit = last_known(state.trend, "misfit")
    if misfit is None:
        return Indicator("Misfit", "–", "none", "What the model leaves unexplained of the mean frame.")
    value = f"{misfit:.1%}"
    if misfit > TRUSTED_MISFIT:
        level: Level = "bad" if misfit > BAD_MISFIT else "warning"
        why = f"The model leaves {value} of the mean frame unexplained: check pixel size, optics, camera and focus."
        return Indicator("Misfit", value, level, why)
    return Indicator("Misfit", value, "good", "What the model leaves unexplained of the mean frame's variance.")


def _estimates(state: ViewerState) -> tuple[Indicator, ...]:
    """What the daemon estimates of the pictures' quality; nothing where it does not."""
    shown = []
    resolution_nm = last_known(state.trend, "resolution_nm")
    if resolution_nm is not None:
        why = "Estimated from the picture itself: finer structures in it are not to be trusted."
        shown.append(Indicator("Resolution", f"{resolution_nm:.0f} nm", "good", why))
    agreement = last_known(state.trend, "agreement")
    if agreement is not None:
        shown.append(_agreement(agreement))
    return tuple(shown)


def _agreement(agreement: float) -> Indicator:
    value = f"{agreement:.3f}"
    if agreement >= TRUSTED_AGREEMENT:
        return Indicator(
            "Agreement", value, "good", "The picture imaged again through the microscope, against the raw mean."
        )
    level: Level = "bad" if agreement < BAD_AGREEMENT else "warning"
    why = f"Imaged again through the microscope, the picture agrees with the raw mean only to {value} of 1: "
    return Indicator(
        "Agreement", value, level, why + "check pixel size, optics and focus; the error map (E) shows where."
    )


def _loss(count: int, total: int, rose_s: float | None, now: float, few: float, many: float) -> Level:
    """A loss is a warning while it is news, or when it is more than a few; bad when it is many."""
    share = count / total if total else 0.0
    if share > many:
        return "bad"
    return "warning" if _recent(rose_s, now) or share > few else "good"


def _recent(rose_s: float | None, now: float) -> bool:
    return rose_s is not None and now - rose_s < NEWS_S


def duration(milliseconds: float) -> str:
    """'83 ms', '2.9 s'."""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
