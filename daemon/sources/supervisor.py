"""Supervision of the camera process.

It notices that the process died or hangs, reports that, and restarts it.

A user's mistake, which no restart corrects, ends the daemon with the error of the camera process. A fault that may
pass is waited out: sources that depend on nothing outside this machine are given up after some restarts, a microscope
never, for Micro-Manager may be closed over lunch and a camera switched off over night.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from daemon.health import Health
from daemon.silence import Silence
from daemon.sources.section import SourceSection
from daemon.transport.child_process import STOP_S, ChildProcess, wait_ready
from selfstorm.commands.console import USER_ERROR
from selfstorm.errors import InputError

START_S = 60.0
SILENCE_S = 10.0
BACKOFF_S = (0.2, 1.0, 2.0, 5.0, 10.0)
MAX_RESTARTS, RESTART_SPAN_S = 6, 120.0
MAX_DEBT = 200  # characters
MAX_NOTE, MAX_NOTES = 500, 100  # characters; notes that are not repeated
ANY_PORT = "tcp://127.0.0.1:*"


class CameraSupervisor:
    """One camera process at a time, always at the same endpoint.

    Args:
        source: for the process.
        health: takes events and the state of the source.
        subscribers: number that the process waits for before it begins.
        lossless: the process waits for subscribers that cannot follow.
        endpoint: address of the frame stream; any free port where the system may choose.
        keyring: folder of the allowed clients, for an endpoint beyond loopback.
        stop: ends the wait for a process that starts.

    Attributes:
        endpoint: address of the frame stream.

    Raises:
        InputError: the process did not start.
    """

    ends_with_source = True

    def __init__(
        self,
        source: SourceSection,
        health: Health,
        *,
        subscribers: int,
        lossless: bool,
        endpoint: str = ANY_PORT,
        keyring: Path | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._source, self._health, self._stop = source, health, stop
        self.subscribers, self._lossless, self._keyring = subscribers, lossless, keyring
        self._restarts: deque[float] = deque()
        self._restart_due_s = 0.0
        self._total_restarts = 0
        self._started_s, self._silence = 0.0, Silence()
        self._child: ChildProcess | None = None
        self._left, self._debt = "{}", ""
        self._last_words: dict[str, Any] = {}
        self._notes: deque[str] = deque(maxlen=MAX_NOTES)
        self.endpoint = self._start(endpoint, resume_at=0, sent=0)

    def _start(self, endpoint: str, resume_at: int, sent: int) -> str:
        arguments = [self._source.model_dump_json(), "--bind", endpoint]
        arguments += ["--subscribers", str(self.subscribers)]
        arguments += ["--resume-at", str(resume_at), "--sent", str(sent), "--left", self._left]
        arguments += ["--keyring", str(self._keyring)] if self._keyring is not None else []
        child = ChildProcess("daemon.sources", [*arguments, *(["--lossless"] if self._lossless else [])])
        said = wait_ready(child, START_S, self._stop)
        if "endpoint" not in said:
            child.stop(0.0 if self._stopping else STOP_S)
            raise InputError(str(said["error"]))
        self._child, self._started_s, self._last_words = child, time.monotonic(), {}
        return str(said["endpoint"])

    def check(self, heard_s: float, resume_at: int, sent: int) -> None:
        """Restart the process where it is needed.

        Args:
            heard_s: time of the last message of the process.
            resume_at: frame number to go on from.
            sent: frames so far.

        Raises:
            InputError: the user made a mistake, or the process cannot be kept alive.
        """
        now = time.monotonic()
        if self._child is not None:
            fault = self._fault(self._child, self._silence.lasts_s(max(heard_s, self._started_s)))
            if fault:
                self._child.stop(0.5)
                self._hear(self._child)
                self._child = None
                self._schedule(fault + (f" before {self._debt} was put back" if self._debt else ""), now)
        elif now >= self._restart_due_s:
            self._restart(now, resume_at, sent)

    def _hear(self, child: ChildProcess) -> None:
        """Read the state that the process leaves, its notes, and its last error.

        They may come well before its end.
        """
        while said := child.said():
            if "left" in said:
                self._left, self._debt = json.dumps(said["left"]), str(said["debt"])[:MAX_DEBT]
            elif "note" in said:
                self._report_note(str(said["note"])[:MAX_NOTE])
            else:
                self._last_words = said

    def _report_note(self, note: str) -> None:
        """Report a note of the source; the next process does not repeat it."""
        if note not in self._notes:
            self._notes.append(note)
            self._health.event("warning", "source_note", note)

    def _restart(self, now: float, resume_at: int, sent: int) -> None:
        self._restarts.append(now)
        self._total_restarts += 1
        self._health.report(source_restarts=self._total_restarts)
        try:
            self._start(self.endpoint, resume_at, sent)
        except InputError as error:
            if self._stopping:
                return
            # It was right at the start: a camera is switched off, or a file is gone.
            self._schedule(f"the camera process could not begin again: {error}", now)
        else:
            self._health.event("info", "camera_process_restarted", "the camera process runs again")

    def _schedule(self, fault: str, now: float) -> None:
        while self._restarts and self._restarts[0] < now - RESTART_SPAN_S:
            self._restarts.popleft()
        if len(self._restarts) >= MAX_RESTARTS and self._source.kind.self_contained:
            raise InputError(f"{fault}, for the {MAX_RESTARTS + 1}th time in two minutes", where=self._source.uri)
        wait_s = BACKOFF_S[min(len(self._restarts), len(BACKOFF_S) - 1)]
        self._restart_due_s = time.monotonic() + wait_s
        self._health.report(source_state="restarting", detail=fault[:500])
        self._health.event("error", "camera_process_lost", f"{fault[:500]}; it is restarted in {wait_s:g} s")

    def _fault(self, child: ChildProcess, silence_s: float) -> str:
        """Return the fault of the process; empty while it is well.

        Raises:
            InputError: the process ended by a mistake of the user.
        """
        code = child.exit_code
        if code is not None:
            child.stop()  # its last lines have come then
        self._hear(child)
        if code is not None:
            said = self._last_words
            if code == USER_ERROR and "error" in said:
                raise InputError(said["error"])  # no restart corrects it
            return f"the camera process {child.ending}" + (f": {said['failed']}" if "failed" in said else "")
        if silence_s > SILENCE_S:
            why = self._source.kind.silent_hint
            return f"the camera process has been silent for {SILENCE_S:.0f} s" + (f": {why}" if why else "")
        return ""

    @property
    def _stopping(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    @property
    def away(self) -> bool:
        """True while there is no process to send frames."""
        return self._child is None

    @property
    def pid(self) -> int | None:
        """Process id of the camera process, None between two."""
        return self._child.pid if self._child else None

    def ask_to_stop(self) -> None:
        """Ask the process to send no more frames and end."""
        if self._child is not None:
            self._child.ask_to_stop()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """End the process and wait for it.

        Settings of the microscope that it could not put back are reported.

        Args:
            timeout_s: time until it is killed; a process that has settings to put back gets more.
        """
        if self._child is not None:
            self._hear(self._child)
            self._child.stop(max(timeout_s, STOP_S) if self._debt else timeout_s)
            self._hear(self._child)
            self._child = None
        if self._debt:
            why = "as an acquisition of ours had set it, for its camera process was ended before it could put it back"
            self._health.event("warning", "settings_left", f"the microscope is {why}: {self._debt}")
            self._debt = ""
