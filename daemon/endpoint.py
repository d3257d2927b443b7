"""A thread with one bound socket, made, used and closed by that thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import zmq

from selfstorm.errors import InputError


class Endpoint:
    """Binds a socket of `kind` with `options` and lets `serve` use it until `stopping` is set."""

    def __init__(
        self,
        name: str,
        address: str,
        kind: int,
        options: Mapping[int, int],
        serve: Callable[[zmq.Socket[bytes]], None],
    ) -> None:
        self._address, self._kind, self._options, self._serve = address, kind, options, serve
        self._bound, self._refused = threading.Event(), ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.stopping = threading.Event()

    def listen(self) -> None:
        """Start, and return once the address is bound; raises InputError when it cannot be."""
        self._thread.start()
        self._bound.wait()
        if self._refused:
            raise InputError(
                f"cannot listen there ({self._refused})",
                where=self._address,
                mend="is another daemon running? stop it, or set another port under [server]",
            )

    def stop(self) -> None:
        """Ask `serve` to return, and wait for it."""
        self.stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with zmq.Context() as context, context.socket(self._kind) as socket:
            for option, value in self._options.items():  # high-water marks work only before bind
                socket.setsockopt(option, value)
            try:
                socket.bind(self._address)
            except zmq.ZMQError as error:
                self._refused = error.strerror or str(error)
            self._bound.set()
            if not self._refused:
                self._serve(socket)
