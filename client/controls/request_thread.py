"""Carries errands to one daemon, one after another, in a thread of its own; nothing of it keeps the window waiting.

The connection is made, used and closed in the thread, and made anew whenever the daemon did not answer. Between the
errands it asks every few seconds what the viewer may do and how the daemon is set.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time

from PySide6 import QtCore

from client.access import ControlAccess
from client.control import Daemon, Info
from client.controls.requests import ControlRequest, Outcome
from daemon.protocol.key_file import KeyFile
from selfstorm.errors import InputError

MOST_WAITING = 8  # errands; who presses more often than the daemon answers is told so
LOOK_S = 3.0
STOP_S = 5.0


class ControlWorker(QtCore.QObject):
    """From start() to stop(). learned: a Reach, whenever it changes. came_back: the Outcome of an errand."""

    learned = QtCore.Signal(object)
    came_back = QtCore.Signal(object)

    def __init__(self, address: str, key: KeyFile | None) -> None:
        super().__init__()
        self._address, self._key = address, key
        self._reach = ControlAccess(address)
        self._waiting: queue.Queue[ControlRequest | None] = queue.Queue(MOST_WAITING)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to ask; returns at once, whether or not a daemon is there."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for no answer any more, close the connection and end the thread."""
        self._leaving.set()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)  # wakes a thread that has nothing to do
        self._thread.join(STOP_S)

    def send(self, errand: ControlRequest) -> bool:
        """Have it done as soon as those before it are; False where too many wait already."""
        try:
            self._waiting.put_nowait(errand)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while not self._leaving.is_set():
            try:
                with Daemon(self._address, key=self._key, leaving=self._leaving) as daemon:
                    self._serve(daemon)
            except InputError as error:  # also where there is no such address
                self._lose(f"{error}.")
            except (LookupError, TypeError, ValueError) as error:  # whoever answers there is no daemon of ours
                self._lose(f"{self._address} answers what this viewer cannot read: {error!r}.")

    def _serve(self, daemon: Daemon) -> None:
        """Raises InputError when the daemon does not answer."""
        while not self._leaving.is_set():
            self._look(daemon)
            look_again_s = time.monotonic() + LOOK_S
            while not self._leaving.is_set() and (left_s := look_again_s - time.monotonic()) > 0:
                with contextlib.suppress(queue.Empty):
                    if (errand := self._waiting.get(timeout=left_s)) is not None:
                        self._carry(daemon, errand)
                        look_again_s = 0.0  # it may have changed what is known

    def _look(self, daemon: Daemon) -> None:
        info: Info = daemon.info()
        self._learn(ControlAccess(self._address, answered=True, role=info.role, settings=info.settings))

    def _carry(self, daemon: Daemon, errand: ControlRequest) -> None:
        try:
            outcome = Outcome(errand, errand.do(daemon), done=True)
        except InputError as error:
            why = "; ".join(filter(None, (error.what, error.hint)))  # less the address, which is known here
            outcome = Outcome(errand, f"{errand.name}: {why}", done=False)
        if not self._leaving.is_set():
            self.came_back.emit(outcome)

    def _lose(self, why: str) -> None:
        """There is no way to the daemon now. What waits is not done later, when nobody expects it any more."""
        self._learn(ControlAccess(self._address, why=why))
        with contextlib.suppress(queue.Empty):
            while (errand := self._waiting.get_nowait()) is not None:
                self.came_back.emit(Outcome(errand, f"{errand.name}: not done. {why}", done=False))
        self._leaving.wait(LOOK_S)

    def _learn(self, reach: ControlAccess) -> None:
        if reach != self._reach and not self._leaving.is_set():
            self._reach = reach
            self.learned.emit(reach)
