"""Sliding windows of frames, and their queue to the worker.

The newest window comes first when the worker cannot follow.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from daemon.ingest.frame_ring import FrameRing
from selfstorm.frames import Frame, Region, StreamInfo, Window

LOSSLESS_DEPTH, FIRST_DEPTH = 2, 3
MAX_AT_ONCE = 1000  # windows that a gap completes; of more the first and the last are made
MAX_FRAMES_AT_ONCE = 500_000  # in all of them: each window lists its frames, and nothing is received meanwhile
MAX_EARLIER = 200  # frames: half of the model's memory; more would delay the picture
MAX_EARLIER_BYTES = 2**29


class Skipped(NamedTuple):
    """Windows that were skipped.

    Attributes:
        windows: number of windows.
        paused: of them those while the daemon was paused.
        frames: frames that no window contains because of it.
    """

    windows: int = 0
    paused: int = 0
    frames: int = 0


class SlidingWindows:
    """Cuts one stream into windows of frames.

    Windows have `length` frames, one begins every `stride`; both are counted in seq, not in arrivals. A window is
    complete once the stream has passed its last frame; frames that never came are listed in it.

    Args:
        info: description of the stream.
        length: frames of a window.
        stride: frames from one window to the next.
        first_seq: number of the first frame.
        first_index: number of the first window.
        region: frames are cut to it; where it exceeds the camera's field, the whole field is used.
        lossless: make all windows of a gap that have frames.

    Attributes:
        left_out: windows of a long gap, which have a number and are not made.
    """

    def __init__(
        self,
        info: StreamInfo,
        length: int,
        stride: int,
        *,
        first_seq: int,
        first_index: int,
        region: Region | None = None,
        lossless: bool = False,
    ) -> None:
        self._lossless = lossless
        self._field, self._length, self._stride = info, length, stride
        self._start, self._index, self._next_seq = first_seq, first_index, first_seq
        self._ring = FrameRing(length)
        self._cut_to(region)
        self.left_out = 0

    @property
    def length(self) -> int:
        """Frames of a window."""
        return self._length

    @property
    def next_index(self) -> int:
        """Number of the next window."""
        return self._index

    @property
    def info(self) -> StreamInfo:
        """Description of the stream, cut to the region."""
        return self._info

    def recut(self, length: int, stride: int, region: Region | None) -> None:
        """Change length, stride or region from here on.

        Frames of unfinished windows are kept if they fit.

        Args:
            length: frames of a window.
            stride: frames from one window to the next.
            region: of the camera's field; None for all of it.
        """
        kept = self._ring.between(self._start, self._next_seq)
        self._length, self._stride, self._ring = length, stride, FrameRing(length)
        before = self._region
        self._cut_to(region)
        # After a longer stride the next window would begin far ahead.
        start = min(max(self._start, self._next_seq - length), self._next_seq)
        self._start = start if self._region == before else self._next_seq
        for frame in kept:
            if frame.seq >= self._start:
                self._ring.push(frame)

    def _cut_to(self, region: Region | None) -> None:
        field = self._field
        self._region = region if region is not None and region.within(field.height, field.width) else None
        self._info = field
        if self._region is not None:
            y, x = (corner + offset for corner, offset in zip(field.roi_yx, self._region[:2], strict=True))
            size = {"height": self._region.height, "width": self._region.width}
            self._info = field.model_copy(update={"roi_yx": (y, x), **size})

    def push(self, frame: Frame) -> Iterator[Window]:
        """Add a frame, and make the windows that it completes."""
        if self._region is not None:
            # A copy: a view would keep the whole frame in memory.
            frame = replace(frame, pixels=self._region.of(frame.pixels).copy())
        self._ring.push(frame)
        return self.passed(frame.seq + 1)

    def passed(self, next_seq: int) -> Iterator[Window]:
        """Advance the stream, and make the windows that this completes.

        Args:
            next_seq: number that the stream has reached, whether its frames came or not.
        """
        self._next_seq = max(self._next_seq, next_seq)
        made = 0
        while self._start + self._length <= next_seq:
            frames = self._ring.between(self._start, self._start + self._length - 1)
            if left_out := self._left_out_of_gap(next_seq, made, empty=not frames):
                self._start, self._index = self._start + left_out * self._stride, self._index + left_out
                self.left_out += left_out
                continue
            made += 1
            yield self._window(frames)
            self._ring.forget_before(self._start)

    def _window(self, frames: tuple[Frame, ...]) -> Window:
        """Make the next window, and go on to the one after it."""
        first, last = self._start, self._start + self._length - 1
        there = {frame.seq for frame in frames}
        missing = tuple(seq for seq in range(first, last + 1) if seq not in there)
        index, self._start, self._index = self._index, self._start + self._stride, self._index + 1
        return Window(index, self._info, first, last, frames, missing, stride=self._stride, region=self._region)

    def _left_out_of_gap(self, next_seq: int, made: int, *, empty: bool) -> int:
        """Count the next windows that are left out of a long gap.

        Live, the first window of a gap is made, for it has all frames since the window before, and the last: the
        others would be skipped. Lossless, the empty ones alone are left out.

        Args:
            next_seq: number that the stream has reached.
            made: windows that were made of this gap.
            empty: whether the next window has no frames.
        """
        most = max(2, min(MAX_AT_ONCE, MAX_FRAMES_AT_ONCE // self._length))
        if empty and (count := self._empty_before(next_seq)) > MAX_AT_ONCE:
            return count
        complete = (next_seq - self._length - self._start) // self._stride + 1
        return complete - most + 1 if made == 1 and not self._lossless and complete + made > most else 0

    def _empty_before(self, next_seq: int) -> int:
        """Count the windows that end before frame next_seq - 1.

        That frame is the only one that may have come.
        """
        return (next_seq - 1 - self._length - self._start) // self._stride + 1


class WindowQueue:
    """Hands windows to the worker.

    Live, only the newest window waits and others are skipped. Lossless, putting waits.

    The first window takes longest, for camera and optics are learned from it: those that are complete meanwhile wait,
    too,
    up to three, until the worker has caught up with them or turns out to be too slow.

    While paused, no window is handed out, as if the worker were busy. The frames of skipped windows go along with the
    newest, as many as the model can remember.
    """

    def __init__(self, *, lossless: bool) -> None:
        self._lossless = lossless
        self._waiting: deque[Window] = deque()
        self._handed: Window | None = None
        self._changed = threading.Condition()
        self._closed = self._hurried = self._paused = False
        self._patient = True

    def put(self, window: Window) -> Skipped:
        """Add a window.

        It waits for space in the queue when lossless.

        Returns:
            The windows and frames that were skipped for it.
        """
        with self._changed:
            skipped = Skipped()
            if self._lossless:
                self._changed.wait_for(lambda: len(self._waiting) < LOSSLESS_DEPTH or self._hurried)
            elif len(self._waiting) >= (FIRST_DEPTH if self._patient else 1):
                self._patient, count = False, len(self._waiting)
                window, passed_over = self._instead_of_waiting(window)
                skipped = Skipped(count, count if self._paused else 0, passed_over)
            self._waiting.append(window)
            self._changed.notify_all()
            return skipped

    def _instead_of_waiting(self, window: Window) -> tuple[Window, int]:
        """Merge all waiting windows into this one.

        Returns:
            The window with their frames, and the number of frames that are too many to go along.
        """
        passed_over, earlier = 0, self._waiting.popleft()
        for later in (*self._waiting, window):
            earlier, too_many = self._with_frames_of(earlier, later)
            passed_over += too_many
        self._waiting.clear()
        return earlier, passed_over

    def _with_frames_of(self, skipped: Window, window: Window) -> tuple[Window, int]:
        """Add the frames that only the skipped window had.

        Returns:
            The window with them, and the number of frames that are too many to go along.
        """
        handed = self._handed
        seen = handed.last_seq if handed is not None and handed.info.stream == skipped.info.stream else -1
        passed = [*skipped.before, *(frame for frame in skipped.frames if frame.seq > seen)]
        if skipped.info != window.info:
            return window, len(passed)
        earlier = [frame for frame in passed if frame.seq < window.first_seq]
        most = max(0, min(MAX_EARLIER, MAX_EARLIER_BYTES // window.frames[0].pixels.nbytes)) if window.frames else 0
        kept = earlier[max(0, len(earlier) - most) :]
        return replace(window, before=tuple(kept)), len(earlier) - len(kept)

    def get(self, timeout_s: float) -> Window | None:
        """Return the next window.

        Returns:
            None when none came in time, or when the queue is closed and empty.
        """
        with self._changed:
            self._changed.wait_for(self._ready, timeout_s)
            if not (self._waiting and self._ready()):
                return None
            window = self._waiting.popleft()
            if self._handed is not None and not self._waiting:
                self._patient = False
            self._handed = window
            self._changed.notify_all()
            return window

    def _ready(self) -> bool:
        return self._closed or (bool(self._waiting) and (self._hurried or not self._paused))

    def pause(self, paused: bool) -> None:
        """Hand out no window until resumed, or until the end."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def hurry(self) -> None:
        """Stop all waits of `put`, for the end of the run.

        The source has stopped, and the frames under way must be received.
        """
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    def close(self) -> None:
        """Close the queue; waiting windows are still handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """True when the queue is closed and empty."""
        with self._changed:
            return self._closed and not self._waiting
