"""The newest frames of the running stream: as many as a window may still ask for, never more."""

from __future__ import annotations

from collections import deque

from selfstorm.frames import Frame


class FrameRing:
    """A bounded sequence of frames in order of seq. Frames are references; pixels are not copied."""

    def __init__(self, capacity: int) -> None:
        self._frames: deque[Frame] = deque(maxlen=capacity)

    def push(self, frame: Frame) -> None:
        """Append the newest frame; the oldest falls out when the ring is full."""
        self._frames.append(frame)

    def between(self, first_seq: int, last_seq: int) -> tuple[Frame, ...]:
        """The frames there are with first_seq <= seq <= last_seq."""
        return tuple(frame for frame in self._frames if first_seq <= frame.seq <= last_seq)

    def forget_before(self, seq: int) -> None:
        """Drop frames no window will ask for again."""
        while self._frames and self._frames[0].seq < seq:
            self._frames.popleft()
