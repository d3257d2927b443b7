"""Control: requests answered on a ROUTER socket."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from daemon.endpoint import Endpoint
from daemon.guests import Guests
from daemon.health import Health
from daemon.peers import Peer, peer_of, refusal
from daemon.protocol.codec import MalformedMessageError, decode, encode
from daemon.protocol.messages import Reply, Request

POLL_MS = 200
LINGER_MS = 200


class Control:
    """Answers `status` and `stop`. Every request is answered, a malformed one with what is wrong with it."""

    def __init__(
        self, address: str, health: Health, stop_service: Callable[[], None], guests: Guests | None = None
    ) -> None:
        self._health, self._stop_service = health, stop_service
        self._endpoint = Endpoint("control", address, zmq.ROUTER, {zmq.LINGER: LINGER_MS}, self._serve, guests)
        self.listen, self.stop = self._endpoint.listen, self._endpoint.stop

    def _serve(self, socket: zmq.Socket[bytes]) -> None:
        while not self._endpoint.stopping.is_set():
            if socket.poll(POLL_MS):
                back, *parts = socket.recv_multipart(copy=False)
                peer = peer_of(back, self._endpoint.guests)
                reply = self._answer([part.bytes for part in parts], peer)
                socket.send_multipart([back.bytes, *encode("reply", reply)])

    def _answer(self, parts: list[bytes], peer: Peer) -> Reply:
        try:
            request = decode(parts).message
        except MalformedMessageError as error:
            return Reply(id="", ok=False, error=str(error))
        if not isinstance(request, Request):
            return Reply(id="", ok=False, error="that is no request")
        if why_not := refusal(peer, request.verb, self._endpoint.guests):
            return Reply(id=request.id, ok=False, error=why_not)
        if request.verb == "stop":
            self._stop_service()
        return Reply(id=request.id, ok=True, result=self._health.status().model_dump())
