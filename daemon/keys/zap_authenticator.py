"""The door of a CURVE socket: answers ZeroMQ's question who may come in (ZAP, RFC 27), and notices who was turned away.

One thread for each context, for ZeroMQ asks within a context. It must answer at once, whatever else a daemon does.
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
WITHOUT_KEY = "somebody without a key, or with one for another daemon, was not let in"
REFUSED = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


def handshakes_only(socket: zmq.Socket[bytes]) -> None:
    """Before bind: keep out peers of ZMTP 1 and 2, which shake no hands; any bytes from anywhere look like one.

    libzmq does that where there is a domain; with nobody at the door all others come in.
    """
    socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)


class ZapAuthenticator:
    """Open while in `with`. left: somebody who came in through this door is admitted no longer."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], guests: AllowList) -> None:
        self._context, self._guests = context, guests
        self._open, self._halt, self.left = threading.Event(), threading.Event(), threading.Event()
        self._let_in: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="door", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._open.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._halt.set()
        self._thread.join()

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Let nobody to a socket but through this door; before it is bound, in its own thread."""
        pair = self._guests.pair
        socket.curve_secretkey, socket.curve_publickey = pair.secret.encode(), pair.public.encode()
        socket.curve_server = True
        socket.zap_domain = DOMAIN
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # or everybody is let in while nobody stands at the door
        socket.monitor(REFUSALS, REFUSED)

    def _run(self) -> None:
        with self._context.socket(zmq.REP) as asked, self._context.socket(zmq.PAIR) as refused:
            asked.linger = refused.linger = 0
            asked.bind(ZAP)
            refused.connect(REFUSALS)
            self._open.set()
            poller = zmq.Poller()
            poller.register(asked, zmq.POLLIN)
            poller.register(refused, zmq.POLLIN)
            while not self._halt.is_set():
                ready = dict(poller.poll(POLL_MS))
                if asked in ready:
                    asked.send_multipart(self._answer(asked.recv_multipart()))
                if refused in ready:
                    recv_monitor_message(refused)
                    self._guests.refuse(WITHOUT_KEY)
                if any(self._guests.of(public) is None for public in self._let_in):
                    self.left.set()

    def _answer(self, asked: list[bytes]) -> list[bytes]:
        version, number, domain, address = [*asked, b"", b"", b"", b""][:4]
        curve = len(asked) == ZAP_PARTS and asked[5] == b"CURVE" and len(asked[6]) == KEY_BYTES and domain == DOMAIN
        public = z85.encode(asked[6]).decode() if curve else ""
        if public and self._guests.of(public) is not None:
            self._let_in.add(public)
            return [version, number, b"200", b"OK", public.encode(), b""]
        who = f"{named(public)} from {address.decode(errors='replace')}"
        self._guests.refuse(f"{who} was not let in: it is not admitted, or was revoked")
        return [version, number, b"400", UNKNOWN, b"", b""]
