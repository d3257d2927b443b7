"""Text of a running recording: frames, size, minutes of disk left. Pure."""

from __future__ import annotations

import numpy as np

from daemon.protocol.messages import Status
from selfstorm.frames import StreamInfo

MB, GB = 1e6, 1e9


def recording_text(status: Status | None, info: StreamInfo | None) -> str:
    """Describe the recording.

    For example '● REC  1,234 frames, 0.52 GB, 47 min of disk left'. Empty while nothing is recorded.
    """
    if status is None or not status.recording:
        return ""
    parts = [f"{status.recorded_frames:,} frames"]
    if info is not None and info.stream == status.stream:
        parts.append(size_text(status.recorded_frames * frame_bytes(info)))
    if (left_s := status.disk_left_s) is not None:
        parts.append(f"{disk_left_text(left_s)} of disk left")
    if status.recording_missing:
        parts.append(f"{status.recording_missing:,} missing")
    return f"● REC  {', '.join(parts)}"


def size_text(count_bytes: float) -> str:
    """Format a size: '1.6 MB', '2.10 GB'."""
    return f"{count_bytes / GB:.2f} GB" if count_bytes >= GB / 10 else f"{count_bytes / MB:.1f} MB"


def disk_left_text(left_s: float) -> str:
    """Round a time down, in minutes below two hours, in hours above."""
    return f"{left_s // 60:.0f} min" if left_s < 7200 else f"{left_s // 3600:.0f} h"


def frame_bytes(info: StreamInfo) -> int:
    """Return the size of one raw frame."""
    return info.height * info.width * np.dtype(info.dtype).itemsize
