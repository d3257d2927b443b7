"""Text of a running recording: frames, size, minutes of disk left. Pure."""

from __future__ import annotations

import numpy as np

from daemon.protocol.messages import Status
from selfstorm.frames import StreamInfo

GB = 1e9


def recording_text(status: Status | None, info: StreamInfo | None) -> str:
    """Describe the recording, as in '● REC  1,234 frames, 0.52 GB'.

    Empty while nothing is recorded.
    """
    if status is None or not status.recording:
        return ""
    parts = [f"{status.recorded_frames:,} frames"]
    if info is not None and info.stream == status.stream:
        parts.append(f"{status.recorded_frames * frame_bytes(info) / GB:.2f} GB")
    if status.recording_missing:
        parts.append(f"{status.recording_missing:,} missing")
    return f"● REC  {', '.join(parts)}"


def frame_bytes(info: StreamInfo) -> int:
    """Return the size of one raw frame."""
    return info.height * info.width * np.dtype(info.dtype).itemsize
