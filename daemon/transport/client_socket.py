"""Connections to a daemon, and the reason when one is refused.

A server with keys closes the connection of a client without one. The socket reports nothing then; its monitor does.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import zmq
from zmq.utils.monitor import recv_monitor_message

from daemon.protocol.key_file import NEW_KEY_HINT, KeyFile, load_key_file
from daemon.transport.context import new_context
from selfstorm.errors import InputError

RETRY_INTERVAL_S = 2.0
RECONNECT_MS, MAX_RECONNECT_MS = 100, 2000
EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
)
MIN_CLOSINGS = 2  # a daemon that is being stopped closes the connection too, once

REFUSED = (
    "the daemon refused this key: it is not allowed there, or was revoked; on the daemon's machine: "
    "selfstorm-daemon keys list"
)
OTHER_SERVER = (
    "the connection with key '{name}' was closed: the daemon there is not the one that this key was made for, or it "
    "listens without keys"
)
CLOSE_FILES = "close other programs, or raise the limit of open files (ulimit -n)"
NO_KEY = "the daemon needs a key: {option}; on its machine 'selfstorm-daemon keys new NAME' makes one"


class Connection:
    """Connects a socket and monitors its connection.

    It is used by the thread of the socket, and closed before the socket.

    Args:
        socket: not connected yet.
        endpoint: address of the daemon.
        key: key file or its path; None for a daemon without keys.
        option: how a user gives a key, for error messages.

    Attributes:
        fault: reason why this side is refused; empty while it is not, or nothing answers.
        connected: True from a handshake until the other side closes the connection.

    Raises:
        InputError: the address or the key cannot be used.
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
        self._refusal = OTHER_SERVER.format(name=self._key.name) if self._key else NO_KEY.format(option=option)
        self._closings = 0
        self._retry_due_s: float | None = None
        self.fault, self.connected = "", False
        socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, MAX_RECONNECT_MS)
        if self._key is not None:
            _set_keys(socket, self._key)
        self._monitor = socket.get_monitor_socket(EVENTS)
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            what = f"is not an address ({error.strerror})"
            raise InputError(what, where=endpoint, hint="write tcp://HOST:PORT") from None

    def close(self) -> None:
        """Stop monitoring; the owner of the socket closes it."""
        self._drain()
        self._socket.disable_monitor()
        self._monitor.close()

    def poll(self, timeout_ms: int) -> bool:
        """Wait for a message; return whether one has arrived.

        It returns early when the state of the connection changes.
        """
        if self._retry_due_s is not None and time.monotonic() >= self._retry_due_s:
            self._reconnect()
        ready = dict(self._poller.poll(timeout_ms))
        if self._monitor in ready:
            self._drain()
        return self._socket in ready

    def retry(self) -> None:
        """Retry a refused connection now: the key may have been allowed since."""
        self._drain()
        if self._retry_due_s is not None:
            self.fault = ""
            self._reconnect()

    def renew(self) -> None:
        """Connect anew; messages that were not delivered yet are dropped."""
        self._drain()
        self._reconnect()

    def _reconnect(self) -> None:
        self._retry_due_s = None
        with contextlib.suppress(zmq.ZMQError):  # ZeroMQ has given up already: nothing to disconnect
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)

    def _drain(self) -> None:
        while self._monitor.poll(0):
            self._handle(recv_monitor_message(self._monitor)["event"])

    def _handle(self, event: int) -> None:
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.fault, self._closings, self.connected = "", 0, True
        elif event == zmq.EVENT_DISCONNECTED:
            self.connected = False
        elif event == zmq.EVENT_CLOSED:  # no connection is accepted there any more: the daemon has ended
            self.fault, self._closings = "", 0
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self.fault, self._retry_due_s = REFUSED, time.monotonic() + RETRY_INTERVAL_S
        elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:  # this end noticed it first
            self.fault, self._retry_due_s = self._refusal, time.monotonic() + RETRY_INTERVAL_S
        elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            self._closings += 1
            if self._closings >= MIN_CLOSINGS:
                self.fault = self._refusal


def client_context() -> zmq.Context[zmq.Socket[bytes]]:
    """Make the context of a connection to a daemon.

    Raises:
        InputError: this process may open too few files.
    """
    try:
        return new_context()
    except OSError as error:
        raise InputError(f"no connection can be opened ({error.strerror})", hint=CLOSE_FILES) from None


def load_key(path: Path) -> KeyFile:
    """Load a key file.

    Raises:
        InputError: the file cannot be read, or its keys are not a pair.
    """
    key = load_key_file(path)
    if not belong_together(key.public, key.secret):
        raise InputError("is damaged (public and secret key are not a pair)", where=path, hint=NEW_KEY_HINT)
    return key


def new_pair() -> tuple[str, str]:
    """Make a (public, secret) pair of keys, Z85 text."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def belong_together(public: str, secret: str) -> bool:
    """Return whether two keys are a pair."""
    return zmq.curve_public(secret.encode()) == public.encode()


def _set_keys(socket: zmq.Socket[bytes], key: KeyFile) -> None:
    socket.curve_serverkey = key.server.encode()
    socket.curve_publickey = key.public.encode()
    socket.curve_secretkey = key.secret.encode()
