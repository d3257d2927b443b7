"""Thread with one bound socket.

Beyond loopback only clients with an allowed key can connect.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import zmq

from daemon.health import Health
from daemon.keys.allow_list import AllowList
from daemon.keys.loopback import is_loopback
from daemon.keys.zap_authenticator import ZapAuthenticator, handshakes_only
from daemon.transport.context import new_context
from selfstorm.errors import InputError, first_line

log = logging.getLogger(__name__)

RETRY_S = 0.2
HANDSHAKE_MS = 5_000  # a connection that has not introduced itself by then is closed: it takes a file descriptor
# No ZMTP heartbeats: they abort a client whose queue is full (libzmq 4767). TCP finds clients that are gone.
KEEPALIVE: dict[int, int] = {
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 10,
    zmq.TCP_KEEPALIVE_INTVL: 5,
    zmq.TCP_KEEPALIVE_CNT: 3,
}


class ServerSocket:
    """Binds a socket and serves it in a thread of its own.

    `serve(socket)` runs until `stopping` is set.

    Args:
        name: of the thread.
        address: to bind.
        kind: ZeroMQ socket type.
        options: ZeroMQ socket options, set before binding.
        serve: called with every bound socket.
        allow_list: keys that may connect where the address is not a loopback one.
        sends_out: what is sent reaches every client, so the connections of a revoked key must be closed: the socket
            is closed and bound again, and all others reconnect by themselves.

    Raises:
        InputError: other machines can reach the address and there are no keys.
    """

    def __init__(
        self,
        name: str,
        health: Health,
        address: str,
        kind: int,
        options: Mapping[int, int],
        serve: Callable[[zmq.Socket[bytes]], None],
        allow_list: AllowList | None = None,
        *,
        sends_out: bool = False,
    ) -> None:
        if not is_loopback(address) and allow_list is None:
            raise InputError("other machines can reach this address, and there are no keys", where=address)
        self.allow_list = None if is_loopback(address) else allow_list
        self._address, self._kind, self._options, self._serve = address, kind, options, serve
        self._sends_out, self._health = sends_out, health
        self._bound, self._refused = threading.Event(), ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.stopping = threading.Event()
        self._authenticator: ZapAuthenticator | None = None
        self._restart = threading.Event()

    @property
    def restarting(self) -> bool:
        """True when `serve` should return at once.

        It is called again then, with a new socket.
        """
        revoked = self._sends_out and self._authenticator is not None and self._authenticator.revoked.is_set()
        return revoked or self._restart.is_set()

    def restart(self) -> None:
        """Close all connections and bind again; clients reconnect by themselves."""
        self._restart.set()

    def listen(self) -> None:
        """Start the thread, and return once the address is bound.

        Raises:
            InputError: the address cannot be bound.
        """
        self._thread.start()
        self._bound.wait()
        if self._refused:
            raise InputError(
                f"cannot listen there ({self._refused})",
                where=self._address,
                hint="if another daemon runs, stop it, or set another port under [server]",
            )

    def stop(self) -> None:
        """Make `serve` return, and wait for it."""
        self.stopping.set()
        self._thread.join()

    def _run(self) -> None:
        self._session_or_report()
        first_fault = self._refused
        while not first_fault and not self.stopping.is_set():
            self._session_or_report()
            if self._refused:
                log.warning("cannot listen on %s again yet (%s)", self._address, self._refused)
                self.stopping.wait(RETRY_S)

    def _session_or_report(self) -> None:
        """Run one session.

        A fault in it is reported, and the next session binds again.
        """
        try:
            self._session()
        except Exception as error:
            name, why = self._thread.name, first_line(error)
            log.error("%s failed", name, exc_info=error)
            self._health.event("error", "endpoint_restarted", f"the {name} socket failed ({why}) and is opened again")
            self._refused = "" if self._bound.is_set() else why
            self._bound.set()
            self.stopping.wait(RETRY_S)

    def _session(self) -> None:
        """Serve one socket, from bind to close."""
        self._restart.clear()
        with ExitStack() as stack:
            context = stack.enter_context(new_context())
            self._authenticator = (
                stack.enter_context(ZapAuthenticator(context, self.allow_list)) if self.allow_list is not None else None
            )
            socket = stack.enter_context(context.socket(self._kind))
            socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
            for option, value in {**KEEPALIVE, **self._options}.items():  # high-water marks work only before bind
                socket.setsockopt(option, value)
            handshakes_only(socket)
            socket.setsockopt(zmq.IPV6, int("[" in self._address))
            if self._authenticator is not None:
                self._authenticator.guard(socket)
            self._refused = ""
            try:
                socket.bind(self._address)
            except zmq.ZMQError as error:
                self._refused = error.strerror or str(error)
            self._bound.set()
            if not self._refused:
                self._serve(socket)
            if self.restarting:
                socket.linger = 0
