"""When something was last lost: a loss of this minute is news, one of an hour ago is a figure. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from daemon.protocol.messages import Status


@dataclass(frozen=True, slots=True)
class Losses:
    """When each count last rose, by the viewer's clock; None when it has not since the viewer looks."""

    missing_s: float | None = None
    rejected_s: float | None = None
    skipped_s: float | None = None
    failed_s: float | None = None


def missing_frames(status: Status) -> int:
    """Frames that never arrived: on the way, inside the camera, or in an outage (an estimate)."""
    frames = status.frames
    return frames.missing + frames.lost_at_source + frames.estimated_lost_in_outages


def slow_windows(status: Status) -> int:
    """Windows that were skipped because the computer could not follow."""
    return status.windows.skipped - status.windows.skipped_while_paused


def note_losses(losses: Losses, before: Status | None, status: Status, now: float) -> Losses:
    """Compare two accounts of one run; before is None for its first."""
    if before is None:
        return Losses()
    risen = {
        "missing_s": missing_frames(status) > missing_frames(before),
        "rejected_s": status.frames.rejected > before.frames.rejected,
        "skipped_s": slow_windows(status) > slow_windows(before),
        "failed_s": status.windows.failed > before.windows.failed,
    }
    return replace(losses, **{name: now for name, rose in risen.items() if rose})
