"""Send control requests to one daemon from a thread.

The window never waits for an answer.

The connection is made, used and closed in the thread, and opened again whenever the daemon did not answer. Between
requests the worker asks every few seconds for the permission of the viewer and the daemon's settings.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time

from PySide6 import QtCore

from client.access import ControlAccess
from client.controls.requests import ControlRequest, RequestOutcome
from client.remote_daemon import Daemon, Info
from daemon.protocol.address import DaemonAddress
from daemon.protocol.key_file import KeyFile
from selfstorm.errors import InputError

MAX_PENDING = 8  # requests; the window says so where a user sends more than the daemon answers
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
        """Start the thread; returns at once, with or without a daemon."""
        self._thread.start()

    def stop(self) -> None:
        """Give up pending answers, close the connection and end the thread."""
        self._leaving.set()
        with contextlib.suppress(queue.Full):
            self._pending.put_nowait(None)  # wakes an idle thread
        self._thread.join(STOP_S)

    def send(self, request: ControlRequest) -> bool:
        """Queue a request; False where too many are pending."""
        try:
            self._pending.put_nowait(request)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while not self._leaving.is_set():
            try:
                with Daemon(DaemonAddress("", self._address), key=self._key, leaving=self._leaving) as daemon:
                    self._serve(daemon)
            except InputError as error:  # also for an address that does not exist
                self._report_lost(f"{error}.")
            except (LookupError, TypeError, ValueError) as error:  # what answers there is no selfstorm-daemon
                self._report_lost(f"{self._address} sends answers this viewer cannot read: {error!r}.")

    def _serve(self, daemon: Daemon) -> None:
        """Serve requests until stop().

        Raises:
            InputError: The daemon does not answer.
        """
        while not self._leaving.is_set():
            self._query_access(daemon)
            next_query_s = time.monotonic() + QUERY_INTERVAL_S
            while not self._leaving.is_set() and (left_s := next_query_s - time.monotonic()) > 0:
                with contextlib.suppress(queue.Empty):
                    if (request := self._pending.get(timeout=left_s)) is not None:
                        self._perform(daemon, request)
                        next_query_s = 0.0  # the request may have changed settings or permissions

    def _query_access(self, daemon: Daemon) -> None:
        info: Info = daemon.info()
        self._update_access(ControlAccess(self._address, answered=True, role=info.role, settings=info.settings))

    def _perform(self, daemon: Daemon, request: ControlRequest) -> None:
        try:
            outcome = RequestOutcome(request, request.do(daemon), done=True)
        except InputError as error:
            why = "; ".join(filter(None, (error.what, error.hint)))  # without the address, which the user knows
            outcome = RequestOutcome(request, f"{request.name}: {why}", done=False)
        if not self._leaving.is_set():
            self.completed.emit(outcome)

    def _report_lost(self, why: str) -> None:
        """Report a lost connection.

        Pending requests are refused now rather than carried out later, when the user no longer expects them.
        """
        self._update_access(ControlAccess(self._address, why=why))
        with contextlib.suppress(queue.Empty):
            while (request := self._pending.get_nowait()) is not None:
                self.completed.emit(RequestOutcome(request, f"{request.name}: not done. {why}", done=False))
        self._leaving.wait(QUERY_INTERVAL_S)

    def _update_access(self, access: ControlAccess) -> None:
        if access != self._access and not self._leaving.is_set():
            self._access = access
            self.access_changed.emit(access)
