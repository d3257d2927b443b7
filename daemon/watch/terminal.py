"""Terminal monitor: follow a daemon in one thread, until Ctrl-C."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
import zmq
from rich.console import Console
from rich.live import Live

from daemon.protocol.codec import MalformedMessageError, decode
from daemon.stop_signals import StopSignals
from daemon.transport.client_socket import Connection, client_context
from daemon.watch.account import Account, take, take_unreadable
from daemon.watch.panel import START, WatchView, event_line, plain_line

POLL_MS = 100
DRAW_S, LINE_S = 0.25, 1.0
ONCE_S, SETTLE_S = 5.0, 0.3  # the last pictures and events come with the first status, in no promised order
QUEUE_MESSAGES = 4
TOPICS = (b"event", b"metrics", b"sr.refined", b"status")  # no more pictures over the wire than are read
FOUND, NO_DAEMON = 0, 1

Ready = Callable[[Account, float], bool]


def watch(endpoint: str, key: Path | None = None, *, once: bool) -> int:
    """Show the daemon at a results endpoint until Ctrl-C, or `once`.

    Args:
        endpoint: The daemon's results address.
        key: Key file, for an address beyond loopback.
        once: Show it once, as soon as its status is known.

    Returns:
        The exit code.

    Raises:
        InputError: The address or the key is not one.
    """
    console, stop = Console(), threading.Event()
    with StopSignals(stop.set), _connected(endpoint, key) as (socket, connection):
        listener = Listener(socket, connection, endpoint, stop)
        if once:
            return _once(listener, console)
        if console.is_terminal:
            _draw(listener, console)
        else:
            _print_lines(listener)
    return FOUND


class Listener:
    """Receives messages between the moments at which the screen is drawn."""

    def __init__(self, socket: zmq.Socket[bytes], connection: Connection, endpoint: str, stop: threading.Event) -> None:
        self._socket, self._connection, self._stop = socket, connection, stop
        self.account = Account(endpoint)

    def every(self, interval_s: float) -> Iterator[float]:
        """Yield the time every so many seconds, until stopped."""
        while not self._stop.is_set():
            now = time.monotonic()
            yield now
            self._listen(now + interval_s)

    def _listen(self, until_s: float) -> None:
        while not self._stop.is_set() and (left_s := until_s - time.monotonic()) > 0:
            heard = self._connection.poll(min(POLL_MS, 1 + int(1000 * left_s)))
            if self._connection.fault != self.account.shut_out:
                self.account = replace(self.account, shut_out=self._connection.fault)
            if heard:
                parts = [frame.buffer for frame in self._socket.recv_multipart(copy=False)]
                try:
                    self.account = take(self.account, decode(parts), time.monotonic())
                except MalformedMessageError as error:
                    self.account = take_unreadable(self.account, str(error))


@contextmanager
def _connected(endpoint: str, key: Path | None) -> Iterator[tuple[zmq.Socket[bytes], Connection]]:
    with client_context() as context, context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.rcvhwm = QUEUE_MESSAGES  # holds only when set before connecting
        for topic in TOPICS:
            socket.subscribe(topic)
        with closing(Connection(socket, endpoint, key)) as connection:
            yield socket, connection


def _draw(listener: Listener, console: Console) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for now in listener.every(DRAW_S):
            live.update(WatchView(listener.account, now), refresh=True)


def _print_lines(listener: Listener) -> None:
    """Print a line a second, and one for each event."""
    printed: set[tuple[str, int]] = set()
    for now in listener.every(LINE_S):
        events = [one for one in listener.account.events if (one.run, one.number) not in printed]
        printed = {(one.run, one.number) for one in listener.account.events}
        for event in events:
            click.echo(event_line(event))
        click.echo(f"{datetime.now():%H:%M:%S}  {plain_line(listener.account, now)}")


def _once(listener: Listener, console: Console) -> int:
    begun_s, heard_s = time.monotonic(), 0.0
    for now in listener.every(SETTLE_S):
        if listener.account.status is not None and heard_s:
            console.print(WatchView(listener.account, now))
            return FOUND
        heard_s = now if listener.account.status is not None else 0.0
        if now - begun_s > ONCE_S or listener.account.shut_out:
            break
    why = f"no daemon at {listener.account.endpoint} within {ONCE_S:g} s: {START}"
    click.echo(listener.account.shut_out or why, err=True)
    return NO_DAEMON
