"""Control: requests answered on a ROUTER socket, and the few lines a client needs to ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import zmq

from daemon.endpoint import Endpoint
from daemon.health import Health
from daemon.protocol.codec import MalformedMessageError, decode, encode
from daemon.protocol.messages import Reply, Request
from selfstorm.errors import InputError

POLL_MS = 200
LINGER_MS = 200
ANSWER_MS = 2000


class Control:
    """Answers `status` and `stop`. Every request is answered, a malformed one with what is wrong with it."""

    def __init__(self, address: str, health: Health, stop_service: Callable[[], None]) -> None:
        self._health, self._stop_service = health, stop_service
        self._endpoint = Endpoint("control", address, zmq.ROUTER, {zmq.LINGER: LINGER_MS}, self._serve)
        self.listen, self.stop = self._endpoint.listen, self._endpoint.stop

    def _serve(self, socket: zmq.Socket[bytes]) -> None:
        while not self._endpoint.stopping.is_set():
            if socket.poll(POLL_MS):
                peer, *parts = socket.recv_multipart()
                socket.send_multipart([peer, *encode("reply", self._answer(parts))])

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
