"""Indicators: can the picture be trusted? Pure functions of the state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from client.state import ViewerState
from client.trust.freshness import has_ended, past_text, seconds, silence_s, stale_reason
from daemon.protocol.findings import (
    NOT_MEASURED,
    all_well,
    is_recent,
    metric_finding,
    model,
    picture_verdict,
    quality,
    run_findings,
)
from daemon.protocol.messages import PictureHeader, Status
from selfstorm.metrics.finding import Finding, Level, worst_level
from selfstorm.metrics.metric import MetricDescription

HYSTERESIS_WINDOWS = 20
DEMO_STARTING = "The demo is starting; the first picture comes within a minute."
NOT_STORED = "Not stored in this file."
UNKNOWN = "Known once the daemon has reported its status."
PICTURE_NAMES = ("Verdict", "Quality", "Window", "Model")
RUN_NAMES = ("Camera", "Missing", "Rejected", "Skipped")
MAX_EXPLAINED = 2


@dataclass(frozen=True, slots=True)
class Indicators:
    """Findings in the order shown: on the picture, then on the acquisition."""

    picture: tuple[Finding, ...]
    acquisition: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        """Iterate over all of them."""
        return iter((*self.picture, *self.acquisition))


def indicators(state: ViewerState, now: float) -> Indicators:
    """Judge everything, the most telling first.

    Metrics that are not always measured come with their first value.
    """
    connection = _connection(state, now)
    status = state.status
    if state.movie:
        return Indicators(tuple(_of_file(state)), (connection,))
    delivery = tuple(one for one in _shown_metrics(state) if one.of == "delivery")
    metrics = tuple(one for one in _shown_metrics(state) if one.of == "picture")
    if status is None or (connection.level == "bad" and not has_ended(state)):
        names = (*PICTURE_NAMES, *(one.label for one in metrics)), (*RUN_NAMES, *(one.label for one in delivery))
        picture, unheard = (tuple(Finding(name, NOT_MEASURED, "none", UNKNOWN) for name in group) for group in names)
        return Indicators(picture, (connection, *unheard))
    *run, learned = run_findings(status, state.info, state.losses, now)
    judged = (_verdict(state), _quality(state), _window(state, status, now), _model(state, learned))
    return Indicators((*judged, *_metrics(state, metrics)), (connection, *run, *_metrics(state, delivery)))


def _of_file(state: ViewerState) -> Iterator[Finding]:
    """Judge what the file records of the picture shown."""
    picture = state.shown.sr if state.shown else None
    if picture is None:
        return
    header, absent = picture.header, picture.file.absent if picture.file else frozenset()
    if "metrics" in absent or not header.metrics:
        yield Finding("Verdict", NOT_MEASURED, "none", NOT_STORED)
    else:
        yield _verdict(state)
    yield Finding("Quality", NOT_MEASURED, "none", NOT_STORED) if "grade" in absent else quality(header)
    shown = (one for one in state.metrics if one.indicator and one.of == "picture" and one.key in header.metrics)
    yield from _metrics(state, tuple(shown))


def sentence(state: ViewerState, shown: Indicators) -> tuple[Level, str]:
    """Summarise the indicators in a sentence.

    The most serious ones, those of the acquisition first: they may be the cause of the others. Else a note on the
    picture shown, else that all is well.

    Returns:
        The level of the sentence, and the sentence.
    """
    worst = worst_level(shown)
    if worst in ("warning", "bad"):
        return worst, _causes([one for one in (*shown.acquisition, *shown.picture) if one.level == worst])
    if beside := note(state):
        return "none", beside
    if state.movie or state.status is None:
        return worst, shown.acquisition[0].explanation
    newest = state.newest
    return worst, all_well(state.status, newest.sr.header.metrics if newest else {})


def _causes(findings: list[Finding]) -> str:
    """Explain the first findings whole, and name the others."""
    parts = [f"{one.name}: {one.explanation}" for one in findings[:MAX_EXPLAINED]]
    if others := findings[MAX_EXPLAINED:]:
        parts.append(f"also {', '.join(one.name for one in others)}")
    return "   ·   ".join(parts)


def note(state: ViewerState) -> str:
    """Note what the picture shown is; empty for the newest refined one."""
    if state.shown is None and state.demo and state.status is None:
        return DEMO_STARTING
    if state.shown is None:
        return "There is no picture yet: the first one comes after one window of frames."
    if past := past_text(state):
        return f"You are looking back, {past} before the newest picture. Press End to return to live."
    if state.shown.sr.preview and not state.movie:
        bracketed = f" Values in brackets are of window {before[-1].window}." if (before := _refined(state)) else ""
        return f"This is a preview; the refined picture of the same window follows.{bracketed}"
    return ""


def _connection(state: ViewerState, now: float) -> Finding:
    if state.movie:
        return Finding("File", state.movie, "good", "A saved movie; nothing is live here.")
    quiet_s, status = silence_s(state, now), state.status
    if state.connection_refused:
        return Finding("Daemon", "refused", "bad", f"{state.endpoint}: {state.connection_refused}.")
    if quiet_s is None and state.unreadable:
        why = f"{state.endpoint} sends what this viewer cannot read: {state.unreadable_text}."
        return Finding("Daemon", "unreadable", "bad", why)
    if quiet_s is None and state.demo:
        return Finding("Daemon", "starting", "good", DEMO_STARTING)
    if quiet_s is None:
        hint = "Start selfstorm-daemon, or choose File > Connect."
        return Finding("Daemon", "waiting", "warning", f"No daemon found at {state.endpoint} yet.", hint)
    if status is not None and has_ended(state):
        return _ended(status)
    if quiet_s:
        hint = "Check that the daemon still runs and the network is up; the viewer reconnects by itself."
        return Finding(
            "Daemon", "disconnected", "bad", f"No message from {state.endpoint} for {seconds(quiet_s)}.", hint
        )
    if status is None:
        return Finding("Daemon", "connected", "good", "Waiting for the daemon's first status.")
    if status.state == "waiting":
        why = f"{status.detail.rstrip('.') or 'No camera yet: press Live in Micro-Manager'}."
        return Finding("Daemon", "waiting", "warning", why)
    if status.state in ("starting", "draining"):
        return Finding("Daemon", status.state, "good", "The daemon is starting, or finishing its last windows.")
    if status.paused:
        why = "Paused: frames are received and counted, no picture is made."
        return Finding("Daemon", "paused", "warning", why, "Choose Daemon > Resume to continue.")
    return Finding("Daemon", "running", "good", f"Connected to {state.endpoint}.")


def _ended(status: Status) -> Finding:
    if status.state == "failed":
        why = f"{status.detail.rstrip('.') or 'The run has failed'}."
        return Finding("Daemon", "failed", "bad", why, "See the messages in the daemon's terminal.")
    return Finding("Daemon", "ended", "warning", "The run has ended; this is its last picture.")


def _window(state: ViewerState, status: Status, now: float) -> Finding:
    if state.newest is None:
        return Finding("Window", NOT_MEASURED, "none", "The first picture comes after one window of frames.")
    header = (state.shown or state.newest).sr.header
    stale = "" if past_text(state) else stale_reason(state, now)
    value = f"{header.window}"
    if is_recent(state.losses.failed_s, now):
        why = f"{status.windows.failed} of {status.windows.complete} windows failed, some within the last minute."
        return Finding("Window", value, "bad", why, "The Events tab says why.")
    if stale and status.state == "running" and not status.paused:
        return Finding("Window", value, "warning", f"{stale}.")
    if header.missing:
        total = header.missing + header.frames
        why = f"{header.missing} of the {total} frames of window {header.window} never arrived; it is made of fewer."
        return Finding("Window", value, "warning", why)
    return Finding("Window", value, "good", f"Frames {header.first_seq} to {header.last_seq}, {header.frames} in all.")


def _quality(state: ViewerState) -> Finding:
    if state.shown is None:
        return Finding("Quality", NOT_MEASURED, "none", "Known with the first picture.")
    return quality(state.shown.sr.header)


def _model(state: ViewerState, finding: Finding) -> Finding:
    """Judge the model by the newest picture where the status is older."""
    if finding.level == "none" and state.newest is not None:
        return model(state.newest.sr.header.state)
    return finding


def _shown_metrics(state: ViewerState) -> tuple[MetricDescription, ...]:
    known = state.trend.keys
    return tuple(one for one in state.metrics if one.indicator and (one.key in known or not one.costly))


def _verdict(state: ViewerState) -> Finding:
    """Judge the picture shown in one word; of a preview, the one before it."""
    refined = _refined(state)
    if not refined:
        return Finding("Verdict", NOT_MEASURED, "none", "Known with the first refined picture.")
    return _bracketed(state, refined[-1], picture_verdict(refined[-1]) or _unclaimed(refined[-1]))


def _unclaimed(header: PictureHeader) -> Finding:
    """Say why a picture has no verdict, and what brings one."""
    if header.grade == "full":
        why = f"Not judged: a picture of the estimate '{header.estimate or 'unknown'}' has no localizations."
        return Finding("Verdict", NOT_MEASURED, "none", why, "Choose Daemon > Settings > Estimate: fused.")
    why = f"Not judged: there is no verdict at {header.grade.upper()}, which has no localizations."
    hint = "A longer stride or a smaller region keeps full quality"
    fused = "" if header.estimate == "fused" else ", with Daemon > Settings > Estimate: fused"
    return Finding("Verdict", NOT_MEASURED, "none", why, f"{hint}{fused}.")


def _bracketed(state: ViewerState, of: PictureHeader, finding: Finding) -> Finding:
    """Put an earlier picture's value in brackets beside a preview."""
    if state.shown is None or not state.shown.sr.preview:
        return finding
    value = finding.value if finding.value == NOT_MEASURED else f"({finding.value})"
    why = f"Of window {of.window}, the refined picture before this preview: {finding.why}"
    return replace(finding, value=value, why=why)


def _refined(state: ViewerState) -> tuple[PictureHeader, ...]:
    """Return the headers of refined pictures up to the one shown, of its run."""
    number = state.history.last if state.playhead.at is None else state.playhead.at
    before = state.trend.last_refined(number, HYSTERESIS_WINDOWS)
    return tuple(one for one in before if state.shown is None or one.run == state.shown.sr.header.run)


def _metrics(state: ViewerState, metrics: tuple[MetricDescription, ...]) -> Iterator[Finding]:
    """Judge metrics of the picture shown.

    Of a preview, its delivery, and the quality of the refined picture before it, in brackets.
    """
    refined = _refined(state)
    return (_metric(one, refined, state) for one in metrics)


def _metric(metric: MetricDescription, refined: tuple[PictureHeader, ...], state: ViewerState) -> Finding:
    if metric.of == "delivery" and state.shown is not None:
        return metric_finding(metric, state.shown.sr.header)
    if not refined:
        return Finding(metric.label, NOT_MEASURED, "none", metric.meaning)
    level: Level = "none"
    for one in refined[:-1]:
        level = metric_finding(metric, one, level).level
    return _bracketed(state, refined[-1], metric_finding(metric, refined[-1], level))
