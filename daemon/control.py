"""Control: requests answered on a ROUTER socket, and the few lines a client needs to ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import zmq

from daemon.health import Health
from daemon.protocol.codec import MalformedMessageError, decode, encode
from daemon.protocol.messages import Reply, Request
from selfstorm.errors import InputError

POLL_MS = 200
ANSWER_MS = 2000


class Control(threading.Thread):
    """Answers `status` and `stop`. Every request is answered, a malformed one with what is wrong with it."""

    def __init__(self, endpoint: str, health: Health, stop_service: Callable[[], None]) -> None:
        super().__init__(name="control", daemon=True)
        self._endpoint, self._health, self._stop_service = endpoint, health, stop_service
        self._halt, self._bound = threading.Event(), threading.Event()
        self._refused = ""

    def listen(self) -> None:
        """Start, and return once the endpoint is bound; raises InputError when it cannot be."""
        self.start()
        self._bound.wait()
        if self._refused:
            raise InputError(
                f"cannot listen there ({self._refused})",
                where=self._endpoint,
                mend="is another daemon running? stop it, or set another port under [server]",
            )

    def stop(self) -> None:
        """Stop answering."""
        self._halt.set()
        self.join()

    def run(self) -> None:
        context = zmq.Context()
        socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 200)
        try:
            socket.bind(self._endpoint)
        except zmq.ZMQError as error:
            self._refused = error.strerror or str(error)
        self._bound.set()
        while not self._refused and not self._halt.is_set():
            if socket.poll(POLL_MS):
                peer, *parts = socket.recv_multipart()
                socket.send_multipart([peer, *encode("reply", self._answer(parts))])
        socket.close()
        context.term()

    def _answer(self, parts: list[bytes]) -> Reply:
        try:
            request = decode(parts).message
        except MalformedMessageError as error:
            return Reply(id="", ok=False, error=str(error))
        if not isinstance(request, Request):
            return Reply(id="", ok=False, error="that is no request")
        if request.verb == "stop":
            self._stop_service()
        return Reply(id=request.id, ok=True, result=self._health.status().model_dump())


def ask(endpoint: str, verb: Any, timeout_ms: int = ANSWER_MS) -> dict[str, Any]:
    """Ask the daemon at endpoint; its result. Raises InputError when there is none, or it refuses."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    try:
        socket.connect(endpoint)
        request = Request(id=uuid4().hex, verb=verb)
        socket.send_multipart(encode("request", request))
        while socket.poll(timeout_ms):
            reply = decode(socket.recv_multipart()).message
            if isinstance(reply, Reply) and reply.id in (request.id, ""):
                if not reply.ok:
                    raise InputError(f"the daemon refused: {reply.error}", where=endpoint)
                return reply.result
    except zmq.ZMQError as error:
        raise InputError(f"is no address ({error.strerror})", where=endpoint, mend="write tcp://HOST:PORT") from None
    except MalformedMessageError as error:
        raise InputError(f"does not speak our protocol ({error})", where=endpoint) from None
    finally:
        socket.close()
        context.term()
    raise InputError(
        f"no daemon answered within {timeout_ms / 1000:g} s",
        where=endpoint,
        mend="start one with 'selfstorm-daemon run CONFIG.toml'",
    )
