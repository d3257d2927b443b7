"""Receiver of frames: frame stream in, windows out.

All frames are received and accounted for here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from daemon.health import Health
from daemon.ingest.stream import Outage, RefusedError, StreamReceiver
from daemon.ingest.windows import SlidingWindows, WindowQueue
from daemon.live_config import LiveConfig, fitting_window
from daemon.protocol.codec import MalformedMessageError, Received
from daemon.protocol.key_file import KeyFile
from daemon.protocol.messages import FrameHeader, Heartbeat
from daemon.transport.frame_subscriber import FrameSubscriber
from daemon.transport.refusal_counter import RejectionCounter
from selfstorm.frames import StreamInfo, Window

log = logging.getLogger(__name__)

UNDESCRIBED_S = 2.0
MAX_EARLIER = 64  # streams whose accounts are kept while another one runs
ANOTHER_STREAM = "a frame of a stream that another one replaced: let one program alone publish to this address"
OTHER_PIXELS = "a frame of another shape or type than its stream: begin a stream with a new name when these change"
REGION_TOO_LARGE = "the region does not fit, and all of the field is reconstructed:"


class FrameReceiver(threading.Thread):
    """Receives frames, accounts for them, and cuts them into windows.

    It closes the queue when it is stopped.

    Args:
        endpoint: address of the frame stream.
        health: takes the account, and events.
        queue: takes the windows.
        settings: configuration, followed before every frame.
        begins: called with the description of every new stream.
        late: the first stream may have begun long ago, and its account begins with its first message.
        key: for a publisher beyond loopback.

    Attributes:
        stream: the running stream; None before the first.
        source_state: as the last heartbeat reported it.
        source_detail: likewise.
        still_s: time since the camera answered the source last; 0 while it answers.
        shut_out: reason for which the publisher refuses us; empty if it does not.
        died: the thread ended by a fault of the program.
    """

    def __init__(
        self,
        endpoint: str,
        health: Health,
        queue: WindowQueue,
        *,
        settings: LiveConfig,
        begins: Callable[[StreamInfo], None],
        late: bool = False,
        key: KeyFile | None = None,
    ) -> None:
        super().__init__(name="intake", daemon=True)
        self._endpoint, self._health, self._queue = endpoint, health, queue
        self._settings, self._begins = settings, begins
        self._cut = settings.current.reconstruction
        self._joining: StreamInfo | None = None
        self._halt = threading.Event()
        self.stream: StreamReceiver | None = None
        self.source_state, self.source_detail, self.still_s = "starting", "", 0.0
        self._late, self._key = late, key
        self._outage, self._back_s = False, 0.0
        self._undescribed_s: dict[str, float] = {}  # first frame of streams that no 'info' has described
        self._earlier: dict[str, StreamReceiver] = {}
        self._refusals = RejectionCounter(health)
        self.shut_out = ""
        self._heard_s, self._handing_over = time.monotonic(), False
        self.died = True  # until the end of run

    @property
    def heard_s(self) -> float:
        """Time of the last message of the camera process.

        It is now while the receiver does not listen (lossless, with a full queue).
        """
        return time.monotonic() if self._handing_over else self._heard_s

    @property
    def resume_at(self) -> int:
        """The camera's number of the frame that should come next."""
        last = self.stream.last_number if self.stream else None
        return 0 if last is None else last + 1

    def stop(self) -> None:
        """Stop receiving; windows already cut stay in the queue."""
        self._halt.set()

    def source_gone(self) -> None:
        """Note that no process sends frames.

        The next stream comes after an outage, if frames came before.
        """
        self._outage, self._back_s, self.still_s = self.source_state == "running", 0.0, 0.0

    def run(self) -> None:
        """Receive until stopped, then close the queue."""
        try:
            with FrameSubscriber(self._endpoint, key=self._key) as subscriber:
                while not self._halt.is_set():
                    try:
                        received = subscriber.receive()
                        if received is not None:
                            self._heard_s = time.monotonic()
                            self._sort(received)
                        self._shut_out(subscriber.fault)
                    except (MalformedMessageError, RefusedError) as error:
                        self._refuse(str(error))
                    except Exception as error:  # no message may end the stream
                        log.exception("a message could not be processed")
                        self._refuse(f"{type(error).__name__}: {error}")
            self.died = False
        except Exception:
            log.exception("frames are not received any more")
        finally:
            self._queue.close()

    def _shut_out(self, why: str) -> None:
        """Report a publisher's refusal, once for each reason."""
        if why and why != self.shut_out:
            self._health.event("warning", "key_refused", f"{self._endpoint}: {why}")
        self.shut_out = why

    def _refuse(self, why: str) -> None:
        self._health.frames(malformed_messages=1)
        self._refusals.refuse(why)

    def _sort(self, received: Received) -> None:
        message = received.message
        if isinstance(message, StreamInfo):
            self._described(message)
        elif isinstance(message, Heartbeat):
            self._report_state(message)
            if stream := self._stream_of(message.stream, message.next_seq):
                stream.heartbeat(message)
        elif isinstance(message, FrameHeader) and received.pixels is not None:
            if stream := self._stream_of(message.stream, message.seq):
                self._outage = False
                self._recut(stream)
                if not stream.frame(message, received.pixels):
                    self._refusals.refuse(OTHER_PIXELS)
            elif earlier := self._earlier.get(message.stream):
                earlier.stray(message)
                self._refusals.refuse(ANOTHER_STREAM)
            else:
                self._unknown_frame(message.stream)
        else:
            raise RefusedError(f"'{received.kind}' does not belong into a frame stream")

    def _report_state(self, heartbeat: Heartbeat) -> None:
        """Report the state of the source.

        A wait is an event, too: it may be over before a user reads the state.
        """
        if bool(heartbeat.still_s) != bool(self.still_s):
            self._report_still(heartbeat)
        self.still_s = heartbeat.still_s
        if self.still_s:  # the state is that of before, and holds again afterwards
            self._health.report(source_state="not answering", detail=heartbeat.detail)
            return
        state, detail = heartbeat.state, heartbeat.detail
        self._back_s = self._back_s or time.monotonic()
        if state == "waiting" and (state, detail) != (self.source_state, self.source_detail):
            self._health.event("info", "source_waits", f"the source waits: {detail}")
        self.source_state, self.source_detail = state, detail
        self._health.report(source_state=state, detail=detail)

    def _report_still(self, heartbeat: Heartbeat) -> None:
        if heartbeat.still_s:
            text = f"no frame comes, for {heartbeat.still_s:.1f} s now: {heartbeat.detail}"
            self._health.event("warning", "source_still", text)
        else:
            self._health.event("info", "source_answers", f"the source answers again, after {self.still_s:.1f} s")

    def _stream_of(self, name: str, seq: int) -> StreamReceiver | None:
        """Return the running stream if it has this name.

        A stream that is joined late begins with its first message.
        """
        if self._joining is not None and name == self._joining.stream:
            self._begin(self._joining, seq)
        return self.stream if self.stream is not None and name == self.stream.info.stream else None

    def _recut(self, stream: StreamReceiver) -> None:
        """Apply changes of the windows since the last frame."""
        wanted = self._settings.current.reconstruction
        if wanted is not self._cut:
            self._cut, before = wanted, stream.windows.info
            stream.windows.recut(wanted.window, wanted.stride, wanted.region)
            if stream.windows.info != before:
                self._begins(stream.windows.info)

    def _unknown_frame(self, name: str) -> None:
        """Tolerate a frame of a stream that was not described, for a while.

        A receiver that joins late gets some until the next description comes.

        Raises:
            RefusedError: no description comes.
        """
        if len(self._undescribed_s) >= MAX_EARLIER and name not in self._undescribed_s:
            self._undescribed_s.pop(next(iter(self._undescribed_s)))
        now_s = time.monotonic()
        if now_s - self._undescribed_s.setdefault(name, now_s) > UNDESCRIBED_S:
            raise RefusedError("a frame of a stream that was not described: send 'info' with every heartbeat")

    def _described(self, info: StreamInfo) -> None:
        running = self._joining or (self.stream.info if self.stream else None)
        self._undescribed_s.pop(info.stream, None)
        earlier = self._earlier.get(info.stream)
        known = earlier.info if earlier else running
        if known is not None and info.stream == known.stream and info != known:
            raise RefusedError("a stream's description changed: a stream of another kind needs a new name")
        if running is None or info.stream != running.stream:
            if self._late:
                self._joining = info
            else:
                self._begin(info, 0)

    def _begin(self, info: StreamInfo, first_seq: int) -> None:
        """Begin a new stream; no window mixes frames of two."""
        self._late, self._joining = False, None
        outage, self._outage = self._outage_before(self.stream), False
        first_index = self.stream.windows.next_index if self.stream else 0
        earlier = self._earlier.pop(info.stream, None)
        first_seq = earlier.next_seq if earlier else first_seq
        cut = self._cut = self._settings.current.reconstruction
        windows = SlidingWindows(
            info,
            cut.window,
            cut.stride,
            first_seq=first_seq,
            first_index=first_index,
            region=cut.region,
            lossless=self._settings.current.lossless,
        )
        if cut.region is not None and windows.info == info:
            self._health.event("warning", "region_too_large", f"{REGION_TOO_LARGE} {info.height} x {info.width} px")
        if (fitting := fitting_window(cut, windows.info)) < cut.window:
            windows.recut(fitting, cut.stride, cut.region)
            why = f"{cut.window} frames of {windows.info.height} x {windows.info.width} px do not fit into memory"
            hint = "choose a shorter window or a region"
            self._health.event("warning", "window_too_large", f"{why}: windows have {fitting} frames; {hint}")
        stream = earlier or StreamReceiver(info, self._health, self._window, windows, outage, first_seq)
        if earlier is not None:
            earlier.resume(windows)
        elif self.stream is not None:
            stream.last_number = self.stream.last_number
        self._put_aside()
        self.stream = stream
        self._health.report(stream=info.stream, source=info.source)
        self._begins(windows.info)
        self._health.event(
            "info",
            "stream_begins",
            f"{info.camera or info.source}: {info.width} x {info.height} px, {info.dtype}"
            + (f", {info.rate_hz:g} frames/s" if info.rate_hz else ""),
        )

    def _put_aside(self) -> None:
        """Keep the account of the stream that another one replaces.

        Frames of it may still come.
        """
        if self.stream is not None:
            if len(self._earlier) >= MAX_EARLIER:
                self._earlier.pop(next(iter(self._earlier)))
            self._earlier[self.stream.info.stream] = self.stream

    def _outage_before(self, stream: StreamReceiver | None) -> Outage | None:
        if not self._outage or stream is None or stream.last_number is None or stream.last_frame_s is None:
            return None
        return Outage(stream.last_number, (self._back_s or time.monotonic()) - stream.last_frame_s)

    def _window(self, window: Window) -> None:
        self._health.windows(complete=1)
        self._handing_over = True
        skipped = self._queue.put(window)
        self._health.windows(skipped=skipped.windows, skipped_while_paused=skipped.paused)
        self._health.frames(passed_over=skipped.frames)
        self._heard_s, self._handing_over = time.monotonic(), False
