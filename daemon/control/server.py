"""Control server: requests on a ROUTER socket, answered one at a time.

Every message gets a reply, and refusals are counted by reason. A request with the id of one of the last minute gets
the same reply again, and nothing is done twice.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict

import zmq

from daemon.control.request_handler import RequestHandler
from daemon.health import Health
from daemon.keys.allow_list import AllowList
from daemon.keys.permissions import Permissions, permissions_of, refusal
from daemon.protocol.codec import MalformedMessageError, announced_version, decode, encode
from daemon.protocol.messages import VERSION, Reply, Request
from daemon.protocol.verbs import READING, RefusedRequestError
from daemon.rate_limit import RateLimit
from daemon.transport.refusal_counter import RejectionCounter
from daemon.transport.server_socket import ServerSocket
from selfstorm.errors import InputError

log = logging.getLogger(__name__)

POLL_MS = 200
LINGER_MS = 200
MAX_REQUEST_BYTES = 65_536
REQUESTS_HZ, REQUESTS_AT_ONCE = 50.0, 100.0
ALL_REQUESTS_HZ, ALL_AT_ONCE = 2000.0, 2000.0  # more would take time from the reconstruction: the rest waits
KEPT_S = 60.0  # a request that is repeated within this time is not carried out again
MAX_ANSWERS_KEPT = 5000  # more changes within that time are refused
MAX_ERROR_CHARACTERS = 2000
OPTIONS: dict[int, int] = {
    zmq.LINGER: LINGER_MS,
    zmq.MAXMSGSIZE: MAX_REQUEST_BYTES,
    zmq.RCVHWM: 100,
    zmq.SNDHWM: 256,  # more replies that a client does not read are dropped
}

Parts = list[bytes | memoryview]


class ControlServer:
    """Passes requests to the handler, and sends its replies."""

    def __init__(
        self, address: str, health: Health, handler: RequestHandler, allow_list: AllowList | None = None
    ) -> None:
        self._handler = handler
        self._endpoint = ServerSocket("control", health, address, zmq.ROUTER, OPTIONS, self._serve, allow_list)
        self._refusals = RejectionCounter(health, "a request", "refused_requests")
        self._each, self._all = RateLimit(REQUESTS_HZ, REQUESTS_AT_ONCE), RateLimit(ALL_REQUESTS_HZ, ALL_AT_ONCE)
        self._answered: OrderedDict[str, tuple[float, Parts]] = OrderedDict()
        self.listen, self.stop = self._endpoint.listen, self._endpoint.stop

    def _serve(self, socket: zmq.Socket[bytes]) -> None:
        while not self._endpoint.stopping.is_set():
            if not socket.poll(POLL_MS):
                continue
            while not self._all.allows(b""):
                self._endpoint.stopping.wait(1 / ALL_REQUESTS_HZ)
            back, *frames = socket.recv_multipart(copy=False)
            peer = permissions_of(back, self._endpoint.allow_list)
            answer = self._answer(back.bytes, peer, [frame.bytes for frame in frames])
            socket.send_multipart([back.bytes, *answer], copy=False)

    def _answer(self, connection: bytes, peer: Permissions, parts: list[bytes]) -> Parts:
        """Return the reply to one message of any content."""
        request_id = ""
        try:
            if not self._each.allows(connection):
                raise RefusedRequestError(f"more than {REQUESTS_HZ:.0f} requests a second")
            request = decode(parts).message
            if not isinstance(request, Request):
                raise RefusedRequestError("not a request")
            request_id = request.id
            if why_not := refusal(peer, request.verb, self._endpoint.allow_list):
                raise RefusedRequestError(why_not)
            if (known := self._answered.get(request_id)) is not None:
                return known[1]
            if request.verb in READING:
                return self._handler.answer(request, peer.role)
            self._forget_old()
            if len(self._answered) >= MAX_ANSWERS_KEPT:
                raise RefusedRequestError(f"more than {MAX_ANSWERS_KEPT} changes within {KEPT_S:.0f} s")
            answer = self._handler.answer(request, peer.role)
            self._answered[request_id] = time.monotonic(), answer
            return answer
        except (MalformedMessageError, RefusedRequestError, InputError) as error:
            return self._refused(request_id, str(error), parts)
        except Exception as error:  # no message may end the daemon
            log.exception("a request could not be answered")
            return self._refused(request_id, f"{type(error).__name__}: {error}", parts)

    def _refused(self, request_id: str, why: str, parts: list[bytes]) -> Parts:
        """Make a reply with the reason.

        It is encoded in the client's own major version, so that the client can read it.
        """
        self._refusals.refuse(why)
        reply = Reply(id=request_id, ok=False, error=why[:MAX_ERROR_CHARACTERS])
        return encode("reply", reply, version=announced_version(parts) or VERSION)

    def _forget_old(self) -> None:
        while self._answered and time.monotonic() - next(iter(self._answered.values()))[0] > KEPT_S:
            self._answered.popitem(last=False)
