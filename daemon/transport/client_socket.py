"""Connecting to a daemon, with a key or without, and hearing why where it lets nobody in.

A server with keys hangs up on who has none of its own: the socket itself hears nothing. Its monitor does.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import zmq
from zmq.utils.monitor import recv_monitor_message

from daemon.protocol.key_file import AGAIN, KeyFile, load_key_file
from selfstorm.errors import InputError

RETRY_S = 2.0
RECONNECT_MS, MAX_RECONNECT_MS = 100, 2000
EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
MIN_HANG_UPS = 2  # a daemon that is just being stopped hangs up too, once

REFUSED = (
    "the daemon refused this key: it is not admitted there, or was revoked; on the daemon's machine: "
    "selfstorm-daemon keys list"
)
OTHER_SERVER = (
    "hung up on key '{name}': the daemon there has another key of its own than the one this key was made for, or it "
    "listens without keys"
)
NO_KEY = "the daemon wants a key: {option}; on its machine 'selfstorm-daemon keys new NAME' makes one"


class Connection:
    """Connects `socket` and watches over it; used by the thread of the socket, closed before it.

    option: how a user gives a key here. Raises InputError for an address or key that is none.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        endpoint: str,
        key: KeyFile | Path | None = None,
        option: str = "--key NAME.key",
    ) -> None:
        self._socket, self._endpoint = socket, endpoint
        self._key = load_key(key) if isinstance(key, Path) else key
        self._no_entry = OTHER_SERVER.format(name=self._key.name) if self._key else NO_KEY.format(option=option)
        self._hung_up = 0
        self._retry_due_s: float | None = None
        self.fault = ""
        socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, MAX_RECONNECT_MS)
        if self._key is not None:
            _show(socket, self._key)
        self._monitor = socket.get_monitor_socket(EVENTS)
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            what = f"is no address ({error.strerror})"
            raise InputError(what, where=endpoint, hint="write tcp://HOST:PORT") from None

    def close(self) -> None:
        """Stop watching; the socket is its owner's to close."""
        self._drain()
        self._socket.disable_monitor()
        self._monitor.close()

    def poll(self, timeout_ms: int) -> bool:
        """Whether a message is there. Waits at most so long; less where something is heard of the connection.

        `fault` then says why this side is not let in, and is empty while it is, or nobody answers.
        """
        if self._retry_due_s is not None and time.monotonic() >= self._retry_due_s:
            self._knock_again()
        ready = dict(self._poller.poll(timeout_ms))
        if self._monitor in ready:
            self._drain()
        return self._socket in ready

    def forgive(self) -> None:
        """Where the key was refused, knock again now: it may have been admitted since."""
        self._drain()
        if self._retry_due_s is not None:
            self.fault = ""
            self._knock_again()

    def renew(self) -> None:
        """Begin again; what was sent and nobody has taken yet is forgotten."""
        self._drain()
        self._knock_again()

    def _knock_again(self) -> None:
        self._retry_due_s = None
        with contextlib.suppress(zmq.ZMQError):  # ZeroMQ has given up already: nothing to disconnect
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)

    def _drain(self) -> None:
        while self._monitor.poll(0):
            self._heard(recv_monitor_message(self._monitor)["event"])

    def _heard(self, event: int) -> None:
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.fault, self._hung_up = "", 0
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self.fault, self._retry_due_s = REFUSED, time.monotonic() + RETRY_S
        elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:  # of the two ends, this one noticed first
            self.fault, self._retry_due_s = self._no_entry, time.monotonic() + RETRY_S
        elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            self._hung_up += 1
            if self._hung_up >= MIN_HANG_UPS:
                self.fault = self._no_entry


def load_key(path: Path) -> KeyFile:
    """The key in a file. Raises InputError, also where it is no pair."""
    key = load_key_file(path)
    if not belong_together(key.public, key.secret):
        raise InputError("is damaged (public and secret key are no pair)", where=path, hint=AGAIN)
    return key


def new_pair() -> tuple[str, str]:
    """(public, secret), Z85."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def belong_together(public: str, secret: str) -> bool:
    """Whether two keys are a pair."""
    return zmq.curve_public(secret.encode()) == public.encode()


def _show(socket: zmq.Socket[bytes], key: KeyFile) -> None:
    socket.curve_serverkey = key.server.encode()
    socket.curve_publickey = key.public.encode()
    socket.curve_secretkey = key.secret.encode()
