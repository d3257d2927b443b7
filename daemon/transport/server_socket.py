"""A thread with one bound socket, made, used and closed by that thread; beyond loopback, behind a door."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import zmq

from daemon.keys.allow_list import AllowList
from daemon.keys.loopback import is_loopback
from daemon.keys.zap_authenticator import ZapAuthenticator, handshakes_only
from selfstorm.errors import InputError

log = logging.getLogger(__name__)

RETRY_S = 0.2


class ServerSocket:
    """Binds a socket of `kind` with `options` and lets `serve` use it until `leaving`.

    guests: who may come in where the address is not a loopback one. sends_out: what is sent reaches everybody who is
    connected, so that a revoked key's connection must be cut: the socket is closed and bound again, others reconnect.
    Raises InputError where other machines can reach the address and there are no guests.
    """

    def __init__(
        self,
        name: str,
        address: str,
        kind: int,
        options: Mapping[int, int],
        serve: Callable[[zmq.Socket[bytes]], None],
        guests: AllowList | None = None,
        *,
        sends_out: bool = False,
    ) -> None:
        if not is_loopback(address) and guests is None:
            raise InputError("other machines can reach this address, and there are no keys", where=address)
        self.guests = None if is_loopback(address) else guests
        self._address, self._kind, self._options, self._serve = address, kind, options, serve
        self._cuts = sends_out
        self._bound, self._refused = threading.Event(), ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.stopping = threading.Event()
        self._door: ZapAuthenticator | None = None
        self._again = threading.Event()

    @property
    def begins_again(self) -> bool:
        """Whether `serve` should return at once, to be called again with a new socket: somebody must leave."""
        revoked = self._cuts and self._door is not None and self._door.left.is_set()
        return revoked or self._again.is_set()

    def begin_again(self) -> None:
        """Cut all connections and bind again; those who are well come back by themselves."""
        self._again.set()

    def listen(self) -> None:
        """Start, and return once the address is bound; raises InputError when it cannot be."""
        self._thread.start()
        self._bound.wait()
        if self._refused:
            raise InputError(
                f"cannot listen there ({self._refused})",
                where=self._address,
                hint="is another daemon running? stop it, or set another port under [server]",
            )

    def stop(self) -> None:
        """Ask `serve` to return, and wait for it."""
        self.stopping.set()
        self._thread.join()

    def _run(self) -> None:
        self._session()
        first_fault = self._refused
        while not first_fault and not self.stopping.is_set():
            self._session()
            if self._refused:
                log.warning("cannot listen on %s again yet (%s)", self._address, self._refused)
                self.stopping.wait(RETRY_S)

    def _session(self) -> None:
        """One socket, from bind to close."""
        self._again.clear()
        with ExitStack() as stack:
            context = stack.enter_context(zmq.Context())
            self._door = (
                stack.enter_context(ZapAuthenticator(context, self.guests)) if self.guests is not None else None
            )
            socket = stack.enter_context(context.socket(self._kind))
            for option, value in self._options.items():  # high-water marks work only before bind
                socket.setsockopt(option, value)
            handshakes_only(socket)
            socket.setsockopt(zmq.IPV6, int("[" in self._address))
            if self._door is not None:
                self._door.guard(socket)
            self._refused = ""
            try:
                socket.bind(self._address)
            except zmq.ZMQError as error:
                self._refused = error.strerror or str(error)
            self._bound.set()
            if not self._refused:
                self._serve(socket)
            if self.begins_again:
                socket.linger = 0
