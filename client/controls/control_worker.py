"""Carries requests to one daemon, one after another, in a thread of its own; nothing of it keeps the window waiting.

The connection is made, used and closed in the thread, and made anew whenever the daemon did not answer. Between the
requests it asks every few seconds what the viewer may do and how the daemon is set.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time

from PySide6 import QtCore

from client.access import ControlAccess
from client.controls.requests import ControlRequest, Outcome
from client.remote_daemon import Daemon, Info
from daemon.protocol.key_file import KeyFile
from selfstorm.errors import InputError

MAX_PENDING = 8  # requests; who presses more often than the daemon answers is told so
QUERY_INTERVAL_S = 3.0
STOP_S = 5.0


class ControlWorker(QtCore.QObject):
    """A control connection, from start() to stop().

    Signals:
        access_changed: the ControlAccess, whenever it changes.
        completed: the Outcome of a request.
    """

    access_changed = QtCore.Signal(object)
    completed = QtCore.Signal(object)

    def __init__(self, address: str, key: KeyFile | None) -> None:
        super().__init__()
        self._address, self._key = address, key
        self._access = ControlAccess(address)
        self._pending: queue.Queue[ControlRequest | None] = queue.Queue(MAX_PENDING)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to ask; returns at once, whether or not a daemon is there."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for no answer any more, close the connection and end the thread."""
        self._leaving.set()
        with contextlib.suppress(queue.Full):
            self._pending.put_nowait(None)  # wakes a thread that has nothing to do
        self._thread.join(STOP_S)

    def send(self, request: ControlRequest) -> bool:
        """Have it done as soon as those before it are; False where too many wait already."""
        try:
            self._pending.put_nowait(request)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while not self._leaving.is_set():
            try:
                with Daemon(self._address, key=self._key, leaving=self._leaving) as daemon:
                    self._serve(daemon)
            except InputError as error:  # also where there is no such address
                self._report_lost(f"{error}.")
            except (LookupError, TypeError, ValueError) as error:  # whoever answers there is no daemon of ours
                self._report_lost(f"{self._address} answers what this viewer cannot read: {error!r}.")

    def _serve(self, daemon: Daemon) -> None:
        """Raises InputError when the daemon does not answer."""
        while not self._leaving.is_set():
            self._query_access(daemon)
            next_query_s = time.monotonic() + QUERY_INTERVAL_S
            while not self._leaving.is_set() and (left_s := next_query_s - time.monotonic()) > 0:
                with contextlib.suppress(queue.Empty):
                    if (request := self._pending.get(timeout=left_s)) is not None:
                        self._perform(daemon, request)
                        next_query_s = 0.0  # it may have changed what is known

    def _query_access(self, daemon: Daemon) -> None:
        info: Info = daemon.info()
        self._update_access(ControlAccess(self._address, answered=True, role=info.role, settings=info.settings))

    def _perform(self, daemon: Daemon, request: ControlRequest) -> None:
        try:
            outcome = Outcome(request, request.do(daemon), done=True)
        except InputError as error:
            why = "; ".join(filter(None, (error.what, error.hint)))  # less the address, which is known here
            outcome = Outcome(request, f"{request.name}: {why}", done=False)
        if not self._leaving.is_set():
            self.completed.emit(outcome)

    def _report_lost(self, why: str) -> None:
        """There is no way to the daemon now. What waits is not done later, when nobody expects it any more."""
        self._update_access(ControlAccess(self._address, why=why))
        with contextlib.suppress(queue.Empty):
            while (request := self._pending.get_nowait()) is not None:
                self.completed.emit(Outcome(request, f"{request.name}: not done. {why}", done=False))
        self._leaving.wait(QUERY_INTERVAL_S)

    def _update_access(self, access: ControlAccess) -> None:
        if access != self._access and not self._leaving.is_set():
            self._access = access
            self.access_changed.emit(access)
