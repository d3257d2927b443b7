"""Authentication of CURVE clients (ZAP, ZeroMQ RFC 27).

One thread per context, since ZeroMQ asks within a context. It must answer at once, whatever else the daemon does.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from daemon.keys.allow_list import AllowList, named

ZAP, REFUSALS, DOMAIN = "inproc://zeromq.zap.01", "inproc://refusals", b"selfstorm"
POLL_MS = 200
ZAP_PARTS, KEY_BYTES = 7, 32
UNKNOWN = b"this key is unknown here or was revoked"
WITHOUT_KEY = "a client without a key, or with a key for another daemon, was refused"
REFUSED = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


def handshakes_only(socket: zmq.Socket[bytes]) -> None:
    """Refuse clients of ZMTP 1 and 2; call it before bind.

    They make no handshake, so any bytes look like one. libzmq refuses them when a ZAP domain is set; without an
    authenticator all others can connect.
    """
    socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)


class ZapAuthenticator:
    """Authenticates clients within a `with` block.

    Args:
        context: of the sockets to guard.
        allow_list: keys that may connect.

    Attributes:
        revoked: set once a connected client is no longer allowed.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allow_list: AllowList) -> None:
        self._context, self._allow_list = context, allow_list
        self._ready, self._halt, self.revoked = threading.Event(), threading.Event(), threading.Event()
        self._connected: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="authenticator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._halt.set()
        self._thread.join()

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Require authentication at a socket.

        Call it before the socket is bound, in the socket's own thread.
        """
        pair = self._allow_list.pair
        socket.curve_secretkey, socket.curve_publickey = pair.secret.encode(), pair.public.encode()
        socket.curve_server = True
        socket.zap_domain = DOMAIN
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # or every client may connect while no authenticator runs
        socket.monitor(REFUSALS, REFUSED)

    def _run(self) -> None:
        with self._context.socket(zmq.REP) as asked, self._context.socket(zmq.PAIR) as refused:
            asked.linger = refused.linger = 0
            asked.bind(ZAP)
            refused.connect(REFUSALS)
            self._ready.set()
            poller = zmq.Poller()
            poller.register(asked, zmq.POLLIN)
            poller.register(refused, zmq.POLLIN)
            while not self._halt.is_set():
                ready = dict(poller.poll(POLL_MS))
                if asked in ready:
                    asked.send_multipart(self._answer(asked.recv_multipart()))
                if refused in ready:
                    recv_monitor_message(refused)
                    self._allow_list.refuse(WITHOUT_KEY)
                if any(self._allow_list.of(public) is None for public in self._connected):
                    self.revoked.set()

    def _answer(self, asked: list[bytes]) -> list[bytes]:
        version, number, domain, address = [*asked, b"", b"", b"", b""][:4]
        curve = len(asked) == ZAP_PARTS and asked[5] == b"CURVE" and len(asked[6]) == KEY_BYTES and domain == DOMAIN
        public = z85.encode(asked[6]).decode() if curve else ""
        if public and self._allow_list.of(public) is not None:
            self._connected.add(public)
            return [version, number, b"200", b"OK", public.encode(), b""]
        who = f"{named(public)} from {address.decode(errors='replace')}"
        self._allow_list.refuse(f"{who} was refused: it is not allowed, or was revoked")
        return [version, number, b"400", UNKNOWN, b"", b""]
