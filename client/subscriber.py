"""Receiver thread: from the daemon's results socket into a bounded inbox.

The socket is made, used and closed in the thread. ZeroMQ reconnects by itself when a daemon comes back; a rejected
connection is reported with its reason.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import zmq

from daemon.protocol.codec import MalformedMessageError, Received, decode
from daemon.protocol.key_file import KeyFile
from daemon.transport.client_socket import Connection, client_context
from selfstorm.errors import InputError

POLL_MS = 100
QUEUE_MESSAGES = 20
STOP_S = 5.0

# Two of each picture, not one: the newest super-resolved picture may arrive before its raw mean, and the pair
# before it is then the newest complete one. Events are bounded only against a faulty daemon.
MAX_KEPT = {"sr.preview": 2, "sr.refined": 2, "raw.mean": 2, "quality": 2, "trust": 2, "accumulated": 1, "event": 1000}
MAX_KEPT_OTHER = 1
KEY_OPTIONS = "File > Connect, or --key NAME.key"
UNREADABLE, CONNECTION_REFUSED = "unreadable", "connection refused"


@dataclass(frozen=True, slots=True)
class ConnectionRefused:
    """A connection the daemon rejects.

    Attributes:
        why: The reason and the remedy, a sentence.
    """

    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """One message with its time of arrival.

    content: The decoded message, the reason why it could not be decoded, or that the connection is refused.
    """

    content: Received | ConnectionRefused | str
    at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalBatch:
    """Arrivals in order, and the number of each kind that newer ones replaced."""

    arrivals: tuple[Arrival, ...]
    replaced: Counter[str]


class Inbox:
    """Hand-over of messages between threads.

    It keeps the newest messages of each kind and counts those replaced.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, deque[tuple[int, Arrival]]] = {}
        self._replaced: Counter[str] = Counter()
        self._count = 0

    def put(self, arrival: Arrival) -> None:
        """Add a message.

        It replaces the oldest of its kind when there are too many.
        """
        kind = _kind(arrival.content)
        with self._lock:
            kept = self._kept.setdefault(kind, deque(maxlen=MAX_KEPT.get(kind, MAX_KEPT_OTHER)))
            self._replaced[kind] += len(kept) == kept.maxlen
            kept.append((self._count, arrival))
            self._count += 1

    def drain(self) -> ArrivalBatch:
        """Remove and return all messages."""
        with self._lock:
            kept, self._kept = self._kept, {}
            replaced, self._replaced = self._replaced, Counter()
        arrivals = sorted((pair for waiting in kept.values() for pair in waiting), key=lambda pair: pair[0])
        return ArrivalBatch(tuple(arrival for _, arrival in arrivals), replaced)


def _kind(content: Received | ConnectionRefused | str) -> str:
    match content:
        case str():
            return UNREADABLE
        case ConnectionRefused():
            return CONNECTION_REFUSED
    return content.kind


class Subscriber:
    """Subscriber to one endpoint, from start() to stop().

    Args:
        endpoint: Address of the daemon's results.
        clock: Monotonic time in seconds.
        key: Key for a daemon on another machine.
    """

    def __init__(self, endpoint: str, clock: Callable[[], float], key: KeyFile | None = None) -> None:
        self._endpoint, self._key = endpoint, key
        self._clock = clock
        self._inbox = Inbox()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="subscriber", daemon=True)

    def start(self) -> None:
        """Start the thread; returns at once, with or without a daemon."""
        self._thread.start()

    def stop(self) -> None:
        """Close the socket and end the thread, within one poll interval."""
        self._stop.set()
        self._thread.join(STOP_S)

    def drain(self) -> ArrivalBatch:
        """Return what arrived since the last call."""
        return self._inbox.drain()

    def _listen(self) -> None:
        try:
            with client_context() as context, context.socket(zmq.SUB) as socket:
                socket.linger = 0
                socket.rcvhwm = QUEUE_MESSAGES  # holds only when set before connecting
                socket.subscribe(b"")
                with closing(Connection(socket, self._endpoint, self._key, option=KEY_OPTIONS)) as connection:
                    self._receive_all(socket, connection)
        except (InputError, zmq.ZMQError) as error:
            self._inbox.put(Arrival(f"cannot listen at {self._endpoint}: {error}", self._clock()))

    def _receive_all(self, socket: zmq.Socket[bytes], connection: Connection) -> None:
        reported = ""
        while not self._stop.is_set():
            if connection.poll(POLL_MS):
                self._receive(socket)
            if connection.fault != reported:
                reported = connection.fault
                self._inbox.put(Arrival(ConnectionRefused(reported), self._clock()))

    def _receive(self, socket: zmq.Socket[bytes]) -> None:
        parts = [frame.buffer for frame in socket.recv_multipart(copy=False)]
        content: Received | str
        try:
            content = decode(parts)
        except MalformedMessageError as error:
            content = str(error)
        self._inbox.put(Arrival(content, self._clock()))
