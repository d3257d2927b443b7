"""Times of the last losses: those of the last minute matter more."""

from __future__ import annotations

from dataclasses import dataclass, replace

from daemon.protocol.messages import Status


@dataclass(frozen=True, slots=True)
class LossTimes:
    """Time when each count last rose, by the reader's clock; None if never."""

    missing_s: float | None = None
    rejected_s: float | None = None
    skipped_s: float | None = None
    failed_s: float | None = None


def missing_frames(status: Status) -> int:
    """Count frames lost in transit, in the camera, or in an outage."""
    frames = status.frames
    return frames.missing + frames.lost_at_source + frames.estimated_lost_in_outages


def slow_windows(status: Status) -> int:
    """Count windows that were skipped because the computer could not keep up."""
    windows = status.windows
    return windows.skipped - windows.skipped_while_paused - windows.skipped_at_stop


def note_losses(losses: LossTimes, before: Status | None, status: Status, now: float) -> LossTimes:
    """Compare two statuses of one run; `before` is None for its first."""
    if before is None:
        return LossTimes()
    risen = {
        "missing_s": missing_frames(status) > missing_frames(before),
        "rejected_s": status.frames.rejected > before.frames.rejected,
        "skipped_s": slow_windows(status) > slow_windows(before),
        "failed_s": status.windows.failed > before.windows.failed,
    }
    return replace(losses, **{name: now for name, rose in risen.items() if rose})
