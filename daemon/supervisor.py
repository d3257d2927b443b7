"""Keeps the camera process alive: notices that it died or hangs, says so, restarts it, counts what was lost."""

from __future__ import annotations

import signal
import time
from collections import deque
from pathlib import Path
from typing import Any

from daemon.children import Child
from daemon.config import SourceSection
from daemon.health import Health
from selfstorm.console import USER_ERROR
from selfstorm.errors import InputError

START_S = 60.0
SILENCE_S = 10.0
BACKOFF_S = (0.2, 1.0, 2.0, 5.0)
MOST_RESTARTS, RESTART_SPAN_S = 6, 120.0
ANY_PORT = "tcp://127.0.0.1:*"


class CameraSupervisor:
    """One camera process at a time, always at the same endpoint once it has one.

    subscribers: how many it waits for before it begins.
    """

    def __init__(self, source: SourceSection, health: Health, *, subscribers: int, lossless: bool) -> None:
        self._source, self._health = source, health
        self.subscribers, self._lossless = subscribers, lossless
        self._restarts: deque[float] = deque()
        self._restart_due_s = 0.0
        self._total_restarts = 0
        self._started_s = 0.0
        self._child: Child | None = None
        self.endpoint = self._start(ANY_PORT, resume_at=0)

    def _start(self, endpoint: str, resume_at: int) -> str:
        arguments = [self._source.model_dump_json(), "--bind", endpoint]
        arguments += ["--subscribers", str(self.subscribers), "--resume-at", str(resume_at)]
        child = Child("daemon.sources", [*arguments, *(["--lossless"] if self._lossless else [])])
        said = self._announcement(child)
        if "endpoint" not in said:
            child.stop()
            raise InputError(said.get("error", "the camera process ended before it began"))
        self._child, self._started_s = child, time.monotonic()
        return str(said["endpoint"])

    @staticmethod
    def _announcement(child: Child) -> dict[str, str]:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if said := child.said(0.1):
                return said
            if child.exit_code is not None:
                return child.said(1.0) or {}
        return {"error": f"the camera process did not start within {START_S:.0f} s"}

    def check(self, heard_s: float, resume_at: int) -> None:
        """Look after the process. heard_s: when intake last heard of it; resume_at: the frame number to go on from.

        Raises InputError when it cannot be kept alive.
        """
        now = time.monotonic()
        if self._child is not None:
            if self._child.exit_code == USER_ERROR and (error := (self._child.said(0.2) or {}).get("error")):
                self.stop()
                raise InputError(error)  # no restart mends it
            fault = self._fault(self._child, max(heard_s, self._started_s), now)
            if fault:
                self._child.stop(0.5)
                self._child = None
                self._schedule(fault, now)
        elif now >= self._restart_due_s:
            self._restarts.append(now)
            self._total_restarts += 1
            self._start(self.endpoint, resume_at)
            self._health.report(source_restarts=self._total_restarts)
            self._health.event("info", "camera_process_restarted", "the camera process runs again")

    def _schedule(self, fault: str, now: float) -> None:
        while self._restarts and self._restarts[0] < now - RESTART_SPAN_S:
            self._restarts.popleft()
        if len(self._restarts) >= MOST_RESTARTS:
            raise InputError(f"{fault}, for the {MOST_RESTARTS + 1}th time in two minutes", where=self._source.uri)
        wait_s = BACKOFF_S[min(len(self._restarts), len(BACKOFF_S) - 1)]
        self._restart_due_s = now + wait_s
        self._health.report(source_state="restarting", detail=fault)
        self._health.event("error", "camera_process_lost", f"{fault}; it is restarted in {wait_s:g} s")

    @staticmethod
    def _fault(child: Child, heard_s: float, now: float) -> str:
        code = child.exit_code
        if code is not None:
            said = child.said(0.2) or {}
            why = said.get("failed") or said.get("error")
            how = f"was killed ({_signal_name(-code)})" if code < 0 else f"ended with exit code {code}"
            return f"the camera process {how}" + (f": {why}" if why else "")
        if now - heard_s > SILENCE_S:
            return f"the camera process has said nothing for {SILENCE_S:.0f} s"
        return ""

    @property
    def pid(self) -> int | None:
        """Process id of the camera process, None between two."""
        return self._child.pid if self._child else None

    def ask_to_stop(self) -> None:
        """No more frames, please."""
        if self._child is not None:
            self._child.ask_to_stop()

    def stop(self) -> None:
        """End the process and wait for it."""
        if self._child is not None:
            self._child.stop()
            self._child = None


class RecorderSupervisor:
    """The recorder process: what it says goes into the account; when it dies it goes on in a new file.

    stopped: it cannot record any more.
    """

    def __init__(self, endpoint: str, folder: Path, health: Health) -> None:
        self._arguments = ["--connect", endpoint, "--folder", str(folder)]
        self._health = health
        self._child = Child("daemon.recorder", self._arguments)
        self._said: dict[str, Any] = {"recorded": 0, "missing": 0, "stream": "", "next_seq": 0}
        self._recorded_before = self._missing_before = self._restarts = 0
        self.stopped = False

    def check(self) -> None:
        """Take over what it says; restart it when it died."""
        self._hear()
        if self._child.exit_code is None:
            return
        self._child.stop(0.5)
        self._hear()
        if self.stopped:
            return
        if self._restarts >= MOST_RESTARTS:
            self._give_up(f"the recorder died {MOST_RESTARTS + 1} times")
            return
        said, self._restarts = self._said, self._restarts + 1
        self._recorded_before += said["recorded"]
        self._missing_before += said["missing"]
        self._said = said | {"recorded": 0, "missing": 0}
        so_far = ["--stream", said["stream"], "--next-seq", str(said["next_seq"])]
        self._child = Child("daemon.recorder", [*self._arguments, *so_far])
        self._health.event(
            "error",
            "recorder_lost",
            "the recorder died and was restarted: frames in between are not recorded",
        )

    def stop(self) -> None:
        """Let it write what is under way, and wait for it."""
        self._child.stop()
        self._hear()

    def _hear(self) -> None:
        while said := self._child.said():
            if "error" in said:
                self._give_up(said["error"])
                continue
            self._said = said
            self._health.report(
                recorded_frames=self._recorded_before + said["recorded"],
                recording_missing=self._missing_before + said["missing"],
            )
            if said["file"]:
                self._health.report(recording=said["file"])

    def _give_up(self, why: str) -> None:
        self.stopped = True
        self._health.report(recording="")
        self._health.event("error", "recording_stopped", f"{why}; the stream goes on")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
