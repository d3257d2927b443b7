"""Frame stream in, windows out: the one place where frames are received and accounted for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import zmq

from daemon.health import Health
from daemon.ledger import Ledger
from daemon.protocol.codec import MalformedMessageError, Received, decode
from daemon.protocol.messages import FrameHeader, Heartbeat
from daemon.windows import SlidingWindows, WindowQueue
from selfstorm.frames import Array, Frame, StreamInfo, Window

HIGH_WATER = 400
POLL_MS = 100


class FrameSubscriber:
    """A SUB socket on a frame stream; made, used and closed by one thread."""

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set_hwm(HIGH_WATER)  # works only before connect
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        self._socket.subscribe(b"")
        self._socket.connect(endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._context.term()

    def receive(self, timeout_ms: int = POLL_MS) -> Received | None:
        """The next message, None when none came in time. Raises MalformedMessageError."""
        if not self._socket.poll(timeout_ms):
            return None
        return decode([part.buffer for part in self._socket.recv_multipart(copy=False)])


class StreamIntake:
    """One stream: its ledger and its windows. `complete` is called with every window that gets complete."""

    def __init__(
        self,
        info: StreamInfo,
        health: Health,
        complete: Callable[[Window], None],
        windows: SlidingWindows,
        before: StreamIntake | None,
    ) -> None:
        self.info, self.windows = info, windows
        self.last_number: int | None = before.last_number if before else None
        self.last_frame_s: float | None = before.last_frame_s if before else None
        self._follows = before is not None and before.last_number is not None
        self._health, self._complete = health, complete
        self._ledger = Ledger(info.stream, first_seq=0)
        self._missing_told, self._lost_at_source = 0, 0

    def frame(self, header: FrameHeader, pixels: Array) -> None:
        """A frame of this stream has arrived."""
        gap = self._ledger.frame(header.seq)
        if gap is None:
            self._health.frames(malformed_messages=1)
            return
        fits = (header.shape, header.dtype) == ((self.info.height, self.info.width), self.info.dtype)
        self._health.frames(sent=gap + 1, missing=gap, received=1, **{"used" if fits else "rejected": 1})
        self._health.frame_arrived()
        if self._follows:
            self._account_outage(header.number)
            self._follows = False
        self.last_number, self.last_frame_s = header.number, time.monotonic()
        if fits:
            frame = Frame(
                stream=header.stream,
                seq=header.seq,
                number=header.number,
                pixels=pixels,
                camera_ms=header.camera_ms,
                sent_unix_ns=header.sent_unix_ns,
                received_unix_ns=time.time_ns(),
            )
            self._hand_on(self.windows.push(frame))
        else:
            self._hand_on(self.windows.passed(header.seq + 1))

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        """The camera process says how far it is; frames before that which did not come are missing."""
        gap = self._ledger.reached(heartbeat.next_seq)
        self._health.frames(sent=gap, missing=gap)
        self._hand_on(self.windows.passed(heartbeat.next_seq))
        if newly := self._ledger.missing - self._missing_told:
            self._missing_told = self._ledger.missing
            self._health.event(
                "warning",
                "frames_missing",
                f"{newly} frames were sent and never arrived (of {self._ledger.sent}): the network or this "
                "machine could not keep up; windows they belong to say so",
            )
        if newly := heartbeat.lost_at_source - self._lost_at_source:
            self._lost_at_source = heartbeat.lost_at_source
            self._health.frames(lost_at_source=newly)
            self._health.event("warning", "lost_at_source", f"{newly} frames were lost inside the camera or its buffer")

    def _account_outage(self, number: int) -> None:
        """The first frame after the camera process was replaced: what was lost while it was away."""
        if self.last_number is None or self.last_frame_s is None:
            return
        away_s = time.monotonic() - self.last_frame_s
        if number == self.last_number + 1:
            self._health.event("info", "source_resumed", f"frames go on with number {number} after {away_s:.1f} s")
            return
        lost = round(away_s * self.info.rate_hz) if self.info.rate_hz else 0
        self._health.frames(estimated_lost_in_outages=lost)
        how_many = f"about {lost} frames were" if lost else "an unknown number of frames was"
        self._health.event(
            "warning",
            "frames_lost_in_outage",
            f"{how_many} not captured in {away_s:.1f} s without camera process",
        )

    def _hand_on(self, windows: list[Window]) -> None:
        for window in windows:
            self._complete(window)


class Intake(threading.Thread):
    """Receives, accounts and cuts into windows until it is stopped; then closes the queue."""

    def __init__(
        self,
        endpoint: str,
        health: Health,
        queue: WindowQueue,
        *,
        length: int,
        stride: int,
        begins: Callable[[StreamInfo], None],
    ) -> None:
        super().__init__(name="intake", daemon=True)
        self._endpoint, self._health, self._queue = endpoint, health, queue
        self._length, self._stride, self._begins = length, stride, begins
        self._halt = threading.Event()
        self.stream: StreamIntake | None = None
        self.source_state, self.source_detail = "starting", ""
        self._heard_s, self._handing_over = time.monotonic(), False

    @property
    def heard_s(self) -> float:
        """When the camera process was last heard; now, while we ourselves do not listen (lossless, queue full)."""
        return time.monotonic() if self._handing_over else self._heard_s

    @property
    def resume_at(self) -> int:
        """The camera's number of the frame that should come next."""
        last = self.stream.last_number if self.stream else None
        return 0 if last is None else last + 1

    def stop(self) -> None:
        """Stop receiving; windows already cut stay in the queue."""
        self._halt.set()

    def run(self) -> None:
        try:
            with FrameSubscriber(self._endpoint) as subscriber:
                while not self._halt.is_set():
                    try:
                        received = subscriber.receive()
                    except MalformedMessageError as error:
                        self._health.frames(malformed_messages=1)
                        self._health.event("warning", "message_refused", f"from the camera process: {error}")
                        continue
                    if received is not None:
                        self._heard_s = time.monotonic()
                        self._sort(received)
        finally:
            self._queue.close()

    def _sort(self, received: Received) -> None:
        message, stream = received.message, self.stream
        if isinstance(message, StreamInfo):
            if stream is None or message.stream != stream.info.stream:
                self._begin(message)
        elif isinstance(message, Heartbeat):
            self.source_state, self.source_detail = message.state, message.detail
            self._health.report(source_state=message.state, detail=message.detail)
            if stream is not None and message.stream == stream.info.stream:
                stream.heartbeat(message)
        elif isinstance(message, FrameHeader) and received.pixels is not None:
            if stream is not None and message.stream == stream.info.stream:
                stream.frame(message, received.pixels)
        else:
            self._health.frames(malformed_messages=1)

    def _begin(self, info: StreamInfo) -> None:
        """A new stream: no window mixes frames of two."""
        first_index = self.stream.windows.next_index if self.stream else 0
        windows = SlidingWindows(info, self._length, self._stride, first_seq=0, first_index=first_index)
        self.stream = StreamIntake(info, self._health, self._window, windows, self.stream)
        self._health.report(stream=info.stream, source=info.source)
        self._begins(info)
        self._health.event(
            "info",
            "stream_begins",
            f"{info.camera or info.source}: {info.width} x {info.height} px, {info.dtype}"
            + (f", {info.rate_hz:g} frames/s" if info.rate_hz else ""),
        )

    def _window(self, window: Window) -> None:
        self._health.windows(complete=1)
        self._handing_over = True
        skipped = self._queue.put(window)
        self._health.windows(skipped=skipped.windows)
        self._health.frames(passed_over=skipped.frames)
        self._heard_s, self._handing_over = time.monotonic(), False
