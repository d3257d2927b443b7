"""Newest frames of the running stream, for windows still to come."""

from __future__ import annotations

from collections import deque

from selfstorm.frames import Frame


class FrameRing:
    """Bounded sequence of frames in order of seq.

    Frames are references; pixels are not copied.

    Args:
        capacity: maximum number of frames.
    """

    def __init__(self, capacity: int) -> None:
        self._frames: deque[Frame] = deque(maxlen=capacity)

    def push(self, frame: Frame) -> None:
        """Append the newest frame; the oldest falls out when the ring is full."""
        self._frames.append(frame)

    def between(self, first_seq: int, last_seq: int) -> tuple[Frame, ...]:
        """Return the frames with first_seq <= seq <= last_seq.

        Frames that never came are left out.
        """
        return tuple(frame for frame in self._frames if first_seq <= frame.seq <= last_seq)

    def forget_before(self, seq: int) -> None:
        """Drop frames that no window will need again."""
        while self._frames and self._frames[0].seq < seq:
            self._frames.popleft()
