"""Findings on a run, from its status and its newest picture.

Viewer, terminal and `status` show these. Pure functions of messages, without Qt and without torch; the thresholds of
metrics are in selfstorm.metrics.registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from daemon.protocol.losses import LossTimes, missing_frames, slow_windows
from daemon.protocol.messages import Grade, Status
from daemon.sources.kinds import is_stored, loss_of, scheme_of
from selfstorm.frames import StreamInfo
from selfstorm.metrics.finding import Finding, Level
from selfstorm.metrics.metric import MetricDescription
from selfstorm.metrics.metric_table import MetricTable
from selfstorm.metrics.verdict import OF_THE_LIGHT, verdict

SILENT_AFTER_S = 3.0  # a daemon sends its status twice a second
RECENT_S = 60.0
MIN_RATE_SHARE = 0.8  # of the camera's nominal rate
WARN_LOST_SHARE, BAD_LOST_SHARE = 0.001, 0.01  # of frames
WARN_SKIPPED_SHARE, BAD_SKIPPED_SHARE = 0.1, 0.5  # of windows
NOT_MEASURED = "–"

MODEL_SENTENCES = {
    "cold": "Nothing was known of this scene before; the next windows will be better.",
    "scene changed": "The scene has changed; the model starts anew, and the next windows will be better.",
    "rolled back": "This window did not fit the model, which was left as it was before; see the notes on the picture.",
}
GRADE_SENTENCES: dict[Grade, tuple[Level, str]] = {
    "full": ("good", "Computed with everything that the settings ask for."),
    "reduced": ("warning", "Reduced to '{}' to keep up with the camera; fine detail is less reliable."),
    "quick": ("warning", "Reduced to '{}' to keep up with the camera; fine detail is not reliable."),
    "preview": ("none", "A preview; the refined picture of the same window follows."),
}
CANNOT_KEEP_UP = "Choose a longer stride, a smaller region or a lower quality, or use a GPU."
KEEP_FULL_QUALITY = "It returns by itself when there is time for it; a longer stride or a smaller region keeps it."
CATCHING_UP = "Catching up: better quality returns by itself within about one window of frames."


class Measured(Protocol):
    """Metrics of a picture: a header's, or the newest one's in a status."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Values by key."""
        ...

    @property
    def estimate(self) -> str:
        """Kind of picture."""
        ...

    @property
    def effort(self) -> str:
        """Name of its processing level."""
        ...

    @property
    def grade(self) -> Grade:
        """The level, compared with what the settings ask for."""
        ...


def run_findings(
    status: Status, info: StreamInfo | None = None, losses: LossTimes | None = None, now: float = 0.0
) -> tuple[Finding, ...]:
    """Judge what a status says of camera, losses and model.

    Args:
        status: The newest status.
        info: The stream's description, for its nominal rate.
        losses: When counts last rose, by the clock of `now`; None where that is not known.
        now: Seconds.
    """
    losses = losses or LossTimes()
    return (
        camera(status, info),
        missing(status, losses, now),
        rejected(status, losses, now),
        skipped(status, losses, now),
        model(status.model_state),
    )


def camera(status: Status, info: StreamInfo | None = None) -> Finding:
    """Judge the frame rate."""
    value, nominal_hz = f"{status.rate_hz:.1f} /s", info.rate_hz if info else None
    if status.state == "running" and not status.rate_hz:
        hint = "Check that the camera is live and its program still runs; the events say why."
        return Finding("Camera", value, "bad", "No frames arrive.", hint)
    if nominal_hz and status.state == "running" and status.rate_hz < MIN_RATE_SHARE * nominal_hz:
        why = f"Only {status.rate_hz:.0f} of {nominal_hz:.0f} frames per second arrive."
        return Finding(
            "Camera", value, "warning", why, "Check the exposure time and how busy the camera's computer is."
        )
    return Finding("Camera", value, "good", "Frames per second that arrive.")


def missing(status: Status, losses: LossTimes, now: float) -> Finding:
    """Judge frames that never arrived."""
    frames, count = status.frames, missing_frames(status)
    taken = frames.received + count
    level = _loss_level(count, taken, losses.missing_s, now)
    if level == "good":
        return Finding("Missing", f"{count}", level, f"Frames that never arrived, of {taken} that the camera took.")
    parts = (
        (frames.missing, "in transit: the network or a busy computer"),
        (frames.lost_at_source, loss_of(status.source).place),
        (frames.estimated_lost_in_outages, "while the camera process was away (estimate)"),
    )
    where = ", ".join(f"{lost} {place}" for lost, place in parts if lost)
    return Finding("Missing", f"{count}", level, f"{count} of {taken} frames never arrived ({where}).")


def rejected(status: Status, losses: LossTimes, now: float) -> Finding:
    """Judge frames that arrived and could not be used."""
    count, received = status.frames.rejected, status.frames.received
    level = _loss_level(count, received, losses.rejected_s, now)
    if level == "good":
        return Finding("Rejected", f"{count}", level, "Frames that arrived but could not be used.")
    why = f"{count} of {received} frames have another size or type."
    return Finding("Rejected", f"{count}", level, why, "Check whether the camera's region of interest was changed.")


def skipped(status: Status, losses: LossTimes, now: float) -> Finding:
    """Judge windows without a picture.

    Those skipped while paused, and those that a stop left, show no slow computer.
    """
    windows, slow = status.windows, slow_windows(status)
    wanted, value = windows.complete - (windows.skipped - slow), f"{windows.skipped}"
    others = f" {windows.skipped_while_paused} more while paused." if windows.skipped_while_paused else ""
    if windows.skipped_at_stop:
        others += f" {windows.skipped_at_stop} more not reconstructed: the run was stopped."
    share = slow / wanted if wanted else 0.0
    level: Level = "bad" if share > BAD_SKIPPED_SHARE else "warning" if share > WARN_SKIPPED_SHARE else "good"
    if level == "good" and not is_recent(losses.skipped_s, now):
        why = f"{slow} of {wanted} windows have no picture, none of the last minute.{others}"
        return Finding("Skipped", value, "good", why)
    why = f"{slow} of {wanted} windows have no picture: the computer cannot keep up with the camera.{others}"
    return Finding("Skipped", value, "warning" if level == "good" else level, why, CANNOT_KEEP_UP)


def model(state: str) -> Finding:
    """Judge what was known of the scene before the newest window."""
    if not state:
        return Finding("Model", NOT_MEASURED, "none", "Known with the first picture.")
    if state in MODEL_SENTENCES:
        return Finding("Model", state, "warning", MODEL_SENTENCES[state])
    return Finding("Model", state, "good", "The model continues from earlier windows.")


def quality(picture: Measured) -> Finding:
    """Compare how a picture was computed with what the settings ask for."""
    level, why = GRADE_SENTENCES[picture.grade]
    remedy = CATCHING_UP if picture.effort.endswith("catching up") else KEEP_FULL_QUALITY
    hint = remedy if level == "warning" else ""
    return Finding("Quality", picture.grade.upper(), level, why.replace("{}", picture.effort or picture.grade), hint)


def metric_finding(metric: MetricDescription, picture: Measured, before: Level = "none") -> Finding:
    """Judge one metric of a picture; those of a preview are not judged.

    Args:
        metric: Its description.
        picture: What it is of.
        before: The metric's level in the picture before, for hysteresis.
    """
    if metric.key not in picture.metrics:
        why = f"Not measured for this picture. {metric.meaning}"
        return Finding(metric.label, NOT_MEASURED, "none", why)
    value = picture.metrics[metric.key]
    if picture.grade == "preview" and metric.of == "picture":
        return Finding(metric.label, metric.text(value), "none", f"{metric.meaning} Not judged for a preview.")
    return metric.finding(value, picture.estimate, before, "" if picture.grade == "full" else picture.effort)


def metric_findings(table: MetricTable[Any], picture: Measured) -> tuple[Finding, ...]:
    """Judge all metrics that a picture carries, the verdict first."""
    judged = picture_verdict(picture)
    found = tuple(metric_finding(metric, picture) for metric, _ in table.known(picture.metrics))
    return found if judged is None else (judged, *found)


def picture_verdict(picture: Measured) -> Finding | None:
    """Judge a picture in one word; None where nothing is claimed of it."""
    judged = None if picture.grade == "preview" else verdict(picture.metrics)
    if judged is None or picture.grade == "full" or not judged.serious or judged.value in OF_THE_LIGHT:
        return judged
    hint = f"Quality was reduced to '{picture.effort}', which may explain it; judge a picture of full quality."
    return Finding(judged.name, judged.value, "warning", judged.why, hint)


def all_well(status: Status, metrics: Mapping[str, float]) -> str:
    """Say that nothing is wrong, and how live the newest picture is."""
    accounted = "All is well: every frame is accounted for"
    if is_stored(status.source):
        return f"{accounted}. A recording is being played back; nothing is live."
    if scheme_of(status.source) == "simulate":
        return f"{accounted}. This is a simulation, not a microscope."
    latency_ms = metrics.get("latency_ms")
    if latency_ms is None:
        return f"{accounted}."
    return f"{accounted}; the picture is {latency_ms / 1000:.1f} s behind the camera."


def is_recent(time_s: float | None, now: float) -> bool:
    """Tell whether something happened within the last minute."""
    return time_s is not None and now - time_s < RECENT_S


def _loss_level(count: int, total: int, rose_s: float | None, now: float) -> Level:
    """Judge lost frames: a warning while recent or several, bad if many."""
    share = count / total if total else 0.0
    if share > BAD_LOST_SHARE:
        return "bad"
    return "warning" if is_recent(rose_s, now) or share > WARN_LOST_SHARE else "good"
