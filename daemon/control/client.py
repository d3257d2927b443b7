"""Client side of control: one request after another to a daemon.

Each request is answered once, or given up.

The commands of `selfstorm-daemon`, the viewer and notebooks use it.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import zmq

from daemon.protocol.codec import MalformedMessageError, Received, decode, encode
from daemon.protocol.key_file import KeyFile
from daemon.protocol.messages import Reply, Request, View
from daemon.transport.client_socket import Connection, client_context
from selfstorm.errors import InputError

ANSWER_MS, BUSY_MS = 2000, 10_000  # to answer in; of a daemon that holds the connection, and so is there
ATTEMPTS = 2
POLL_MS = 100


class ControlClient:
    """Connection to one daemon's control endpoint.

    It is used by one thread, and closed by the end of `with`.

    A request without a reply is sent again with the same id, which the daemon answers without doing it twice. A daemon
    that holds the connection is there, and may be busy: it is waited for longer.

    Args:
        timeout_ms: longest wait for an answer, where there may be no daemon.
        key: key file or its path, for a daemon beyond loopback.
        leaving: once set, the client stops waiting for replies.
        busy_ms: longest wait for an answer of a daemon that holds the connection.
    """

    def __init__(
        self,
        endpoint: str,
        timeout_ms: int = ANSWER_MS,
        key: KeyFile | Path | None = None,
        leaving: threading.Event | None = None,
        busy_ms: int = BUSY_MS,
    ) -> None:
        self._endpoint, self._timeout_ms, self._busy_ms = endpoint, timeout_ms, busy_ms
        self._leaving = leaving or threading.Event()
        self._context = client_context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDTIMEO, timeout_ms)  # after a refused key there is no connection to send to
        try:
            self._connection = Connection(self._socket, endpoint, key)
        except InputError:
            self._socket.close()
            self._context.term()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._socket.close()
        self._context.term()

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return the result.

        Args:
            verb: name of the request, such as 'status'.
            arguments: those of the verb; see `daemon.protocol.verbs`.

        Raises:
            InputError: no reply came in time, or the daemon refused the request.
        """
        answer = self._answer(verb, arguments).message
        return answer.result if isinstance(answer, Reply) else {}

    def ask_view(self, **arguments: Any) -> Received | None:
        """Request `view`, the visible part of a picture.

        Args:
            arguments: fields of `ViewOf`.

        Returns:
            A View and its pixels; None if there is no newer picture.

        Raises:
            InputError: no reply came in time, or the daemon refused the request.
        """
        answer = self._answer("view", arguments)
        return answer if isinstance(answer.message, View) else None

    def wait_for_end(self, timeout_s: float) -> bool:
        """Wait until the daemon closes the connection; return whether it did."""
        deadline_s = time.monotonic() + timeout_s
        while self._connection.connected and time.monotonic() < deadline_s:
            self._connection.poll(POLL_MS)
        return not self._connection.connected

    def _answer(self, verb: str, arguments: dict[str, Any]) -> Received:
        request, began_s = Request(id=uuid4().hex, verb=verb, arguments=arguments), time.monotonic()
        self._connection.retry()
        try:
            for _ in range(ATTEMPTS):
                self._socket.send_multipart(encode("request", request))
                if (answer := self._reply_to(request)) is not None:
                    return answer
                if self._connection.fault or self._leaving.is_set():
                    break
            else:
                if (answer := self._reply_to(request, began_s + self._busy_ms / 1000)) is not None:
                    return answer
        except zmq.Again:
            pass
        except MalformedMessageError as error:
            raise InputError(f"is not a daemon of this version ({error})", where=self._endpoint) from None
        fault = self._connection.fault
        self._connection.renew()  # a daemon that starts later must not do what was given up here
        if fault:
            raise InputError(fault, where=self._endpoint)
        raise InputError(
            f"no daemon answered within {max(self._timeout_ms / 1000, round(time.monotonic() - began_s)):g} s",
            where=self._endpoint,
            hint="start one with 'selfstorm-daemon run CONFIG.toml'; if it listens elsewhere: --daemon HOST[:PORT]"
            " and, beyond loopback, --key NAME.key",
        )

    def _reply_to(self, request: Request, busy_until_s: float | None = None) -> Received | None:
        """Wait for a reply: for one attempt, or of a busy daemon until a time."""
        known = self._connection.fault
        deadline_s = busy_until_s or time.monotonic() + self._timeout_ms / ATTEMPTS / 1000
        while (left_s := deadline_s - time.monotonic()) > 0 and (busy_until_s is None or self._connection.connected):
            if not self._connection.poll(min(POLL_MS, int(left_s * 1000) + 1)):
                if self._connection.fault != known or self._leaving.is_set():
                    return None
                continue
            received = decode(self._socket.recv_multipart())
            answer = received.message
            if isinstance(answer, View) and answer.id == request.id:
                return received
            if isinstance(answer, Reply) and answer.id in (request.id, ""):
                if not answer.ok:
                    raise InputError(f"the daemon refused: {answer.error}", where=self._endpoint)
                return received
        return None


def ask(
    endpoint: str, verb: str, timeout_ms: int = ANSWER_MS, key: KeyFile | Path | None = None, **arguments: Any
) -> dict[str, Any]:
    """Send one request over a connection of its own; see ControlClient."""
    with ControlClient(endpoint, timeout_ms, key) as client:
        return client.ask(verb, **arguments)
