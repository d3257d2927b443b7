"""Sending side of the frame stream, in the camera process.

One XPUB socket is used by two threads, one at a time: the one that reads the camera, and the one of the heartbeats.

Live, a subscriber that cannot follow loses frames and the numbering shows it. Lossless, sending waits instead.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Concatenate, Literal, ParamSpec, Self, TypeVar

import zmq

from daemon.keys.allow_list import AllowList
from daemon.keys.loopback import is_loopback
from daemon.keys.store import Keyring
from daemon.keys.zap_authenticator import ZapAuthenticator, handshakes_only
from daemon.protocol.codec import encode
from daemon.protocol.messages import FrameHeader, Heartbeat
from daemon.sources.camera import CameraFrame
from daemon.sources.losses import BY_CAUSE, LossCause
from daemon.transport.context import new_context
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo
from selfstorm.printable import printable

log = logging.getLogger(__name__)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

HIGH_WATER = 400
TICK_MS = 100
HEARTBEAT_S = 0.25
LAST_WORDS_S = 3.0
MAX_SUBSCRIPTIONS = 10_000  # messages of subscribers that are read with each heartbeat
NO_STREAM = "none"
EVERYTHING = {b"\x01": 1, b"\x00": -1}  # messages of a subscriber to all topics, and when it leaves


def _alone(
    method: Callable[Concatenate[StreamPublisher, Parameters], Result],
) -> Callable[Concatenate[StreamPublisher, Parameters], Result]:
    """Let one thread at a time use the socket, for a whole message."""

    @functools.wraps(method)
    def locked(self: StreamPublisher, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with self._lock:
            return method(self, *args, **kwargs)

    return locked


class StreamPublisher:
    """Publishes descriptions, frames and heartbeats, and counts them.

    Args:
        endpoint: address to listen on.
        stop: ends every wait.
        lossless: wait for subscribers that cannot follow.
        keyring: folder of the allowed clients, where other machines can reach the endpoint.

    Raises:
        InputError: the endpoint cannot be bound, or there are no keys for it.
    """

    def __init__(self, endpoint: str, stop: threading.Event, *, lossless: bool, keyring: Path | None = None) -> None:
        self._stop, self._lossless, self._lock = stop, lossless, threading.RLock()
        self._allow_list = None if is_loopback(endpoint) else AllowList(Keyring(keyring), endpoint, _refused)
        self._open(endpoint)
        self.endpoint: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._info: StreamInfo | None = None
        self._next_seq = 0
        self._last_number: int | None = None
        self._lost: Counter[LossCause] = Counter()
        self._state: Literal["waiting", "running", "ended", "failed"] = "waiting"
        self._detail, self._beat_due_s = "", 0.0
        self._still_s, self._still_detail = 0.0, ""

    def _open(self, endpoint: str) -> None:
        with ExitStack() as stack:
            context = stack.enter_context(new_context())
            self._authenticator: ZapAuthenticator | None = None
            if self._allow_list is not None:
                self._authenticator = stack.enter_context(ZapAuthenticator(context, self._allow_list))
            self._socket = stack.enter_context(context.socket(zmq.XPUB))
            self._socket.set_hwm(HIGH_WATER)  # works only before bind
            self._socket.setsockopt(zmq.MAXMSGSIZE, 1024)  # of a subscription
            handshakes_only(self._socket)
            self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # every subscriber is reported, not only the first
            self._socket.setsockopt(zmq.XPUB_NODROP, int(self._lossless))
            self._socket.setsockopt(zmq.LINGER, 500)
            self._socket.setsockopt(zmq.IPV6, int("[" in endpoint))
            if self._authenticator is not None:
                self._authenticator.guard(self._socket)
            try:
                self._socket.bind(endpoint)
            except zmq.ZMQError as error:
                raise InputError(f"cannot listen there ({error.strerror})", where=endpoint) from None
            self._opened, self._subscribers = stack.pop_all(), 0

    def _cut(self) -> None:
        """Begin again with a new socket, after a key was revoked.

        Its client must receive nothing more. The others connect again.
        """
        self._socket.linger = 0
        self._opened.close()
        self._open(self.endpoint)
        self._beat_due_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def wait_for_subscribers(self, count: int) -> None:
        """Wait for `count` subscribers to everything.

        Messages that are sent before are received by no one.
        """
        while self._subscribers < count and not self._stop.is_set():
            self.say("waiting", "for the daemon to listen")
            if self._socket.poll(TICK_MS):
                self._hear_subscribers()

    def _hear_subscribers(self) -> None:
        """Read who subscribes and who leaves.

        ZeroMQ would keep all these messages until they are read.
        """
        with contextlib.suppress(zmq.Again):
            for _ in range(MAX_SUBSCRIPTIONS):
                self._subscribers += EVERYTHING.get(self._socket.recv(zmq.DONTWAIT), 0)

    @_alone
    def begin(self, info: StreamInfo) -> None:
        """Begin a new stream, whose numbering starts again.

        A last heartbeat closes the account of the stream before it.
        """
        if self._info is not None:
            self._transmit(encode("heartbeat", self._heartbeat()))
        self._info, self._next_seq, self._last_number, self._lost = info, 0, None, Counter()
        self._beat_due_s = 0.0  # a frame is of no use before its stream is described
        self.say("running")

    @_alone
    def send(self, frame: CameraFrame) -> None:
        """Send the next frame of the stream."""
        if self._info is None:
            raise RuntimeError("a frame came before its stream's description")
        header = FrameHeader(
            stream=self._info.stream,
            seq=self._next_seq,
            number=frame.number,
            shape=(self._info.height, self._info.width),
            dtype=self._info.dtype,
            camera_ms=frame.camera_ms,
            sent_unix_ns=time.time_ns(),
        )
        if self._transmit(encode("frame", header, frame.pixels)):
            self._next_seq, self._last_number = self._next_seq + 1, frame.number

    @_alone
    def lost(self, count: int, cause: LossCause = LossCause.AT_SOURCE) -> None:
        """Count frames that were lost before they could be sent.

        Args:
            count: number of frames.
            cause: of the loss.
        """
        self._lost[cause] += count

    @_alone
    def say(self, state: Literal["waiting", "running", "ended", "failed"], detail: str = "") -> None:
        """Report the state of the source, at once and with every heartbeat.

        Args:
            state: of the source.
            detail: description for the user.
        """
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail, self._beat_due_s = state, detail, 0.0
        self.beat()

    @_alone
    def stand_still(self, still_s: float, detail: str) -> None:
        """Report that the source does not answer, and beat when it is due.

        Args:
            still_s: time without an answer in seconds; 0 where it answers.
            detail: description for the user.
        """
        if bool(still_s) != bool(self._still_s):
            self._beat_due_s = 0.0
        self._still_s, self._still_detail = still_s, detail
        self.beat()

    @_alone
    def beat(self) -> None:
        """Send a heartbeat when it is due.

        The description of the stream goes with it, for subscribers that come late.
        """
        if self._authenticator is not None and self._authenticator.revoked.is_set():
            self._cut()
        now = time.monotonic()
        if now < self._beat_due_s:
            return
        self._hear_subscribers()
        self._beat_due_s = now + HEARTBEAT_S
        if self._info is not None:
            self._transmit(encode("info", self._info))
        self._transmit(encode("heartbeat", self._heartbeat()))

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            stream=self._info.stream if self._info else NO_STREAM,
            next_seq=self._next_seq,
            last_number=self._last_number,
            lost_at_source=self._lost.total(),
            lost_in_camera=self._lost[LossCause.IN_CAMERA],
            lost_by_cause={cause.value: count for cause, count in self._lost.items() if cause in BY_CAUSE},
            state=self._state,
            detail=printable(self._still_detail or self._detail),
            still_s=self._still_s,
        )

    def _transmit(self, parts: list[bytes | memoryview]) -> bool:
        """Send a message.

        Returns:
            False when it could not be sent before the end (lossless only).
        """
        if not self._lossless:
            self._socket.send_multipart(parts, copy=False)
            return True
        deadline: float | None = None
        while deadline is None or time.monotonic() < deadline:
            try:
                self._socket.send_multipart(parts, zmq.DONTWAIT, copy=False)
            except zmq.Again:
                if self._stop.wait(0.001):
                    deadline = deadline or time.monotonic() + LAST_WORDS_S
                    time.sleep(0.001)
            else:
                return True
        return False


def _refused(why: str) -> None:
    log.warning("key_refused: %s", why)
