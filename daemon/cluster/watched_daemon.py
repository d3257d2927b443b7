"""A daemon on one machine of the cluster, started again when it ends.

This is the body of a Ray actor, and knows nothing of Ray. Where Ray starts the actor again on another machine, the
daemon goes on from its checkpoint there.

    starting -> running -> (ended) -> starting, after a while
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

from daemon.transport.child_process import ChildProcess
from selfstorm.errors import InputError

STARTED_S, CHECK_S, STOP_S = 120.0, 0.2, 10.0
MIN_WAIT_S, MAX_WAIT_S = 1.0, 30.0  # before it is started again: twice as long each time
SETTLED_S = 60.0  # a daemon that ran as long is started again at once


@dataclass(frozen=True, slots=True)
class Report:
    """State of a daemon of the cluster.

    Attributes:
        state: 'starting', 'running' or 'stopped'.
        machine: that it is on.
        results: address of its pictures, empty before it runs.
        pid: of its process, 0 between two.
        starts: how often it was started on this machine.
        why: it ended the last time.
    """

    state: str
    machine: str
    results: str = ""
    pid: int = 0
    starts: int = 0
    why: str = ""


class WatchedDaemon:
    """A daemon that runs until it is stopped.

    Args:
        config: path of its configuration.
        machine: name or address of this machine.
    """

    def __init__(self, config: str, machine: str) -> None:
        self._config = config
        self._ending = threading.Event()
        self._report = Report("starting", machine)
        self._thread = threading.Thread(target=self._watch, name="daemon", daemon=True)
        self._thread.start()

    def report(self) -> Report:
        """Return what the daemon does now."""
        return self._report

    def stop(self) -> None:
        """Stop the daemon: it finishes its files."""
        self._ending.set()
        self._thread.join(2 * STOP_S)

    def _watch(self) -> None:
        wait_s = MIN_WAIT_S
        while not self._ending.is_set():
            began_s = time.monotonic()
            why = self._run_once()
            wait_s = MIN_WAIT_S if time.monotonic() - began_s > SETTLED_S else min(2 * wait_s, MAX_WAIT_S)
            self._report = replace(self._report, state="starting", why=why, pid=0)
            self._ending.wait(wait_s)
        self._report = replace(self._report, state="stopped", pid=0)

    def _run_once(self) -> str:
        """Run the daemon until it ends; return why it did."""
        try:
            child = ChildProcess("daemon.cluster", [self._config])
        except InputError as error:
            return str(error)
        self._report = replace(self._report, state="starting", pid=child.pid, starts=self._report.starts + 1)
        failed = ""
        try:
            while not self._ending.is_set():
                said = child.said(CHECK_S) or {}
                failed = str(said.get("failed", failed))
                if "results" in said:
                    self._report = replace(self._report, state="running", results=str(said["results"]))
                if child.ending and not said:
                    return failed or f"the daemon {child.ending}"
            return ""
        finally:
            child.stop(STOP_S)
