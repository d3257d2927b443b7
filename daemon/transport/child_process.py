"""Child processes, seen from parent and child.

A child prints JSON lines, and ends when its standard input is closed. That also reaches a child whose parent was
killed, on Windows as on Unix: no child outlives the daemon.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from selfstorm.errors import InputError
from selfstorm.parent_process import wait_for_closed_input

STOP_S, KILLED_S = 5.0, 0.3
POLL_S, LAST_LINE_S = 0.1, 1.0  # of a process that runs, and of one that has ended
CRASHED = "see its log; if it uses a camera, check the driver and the device adapter"


class ChildProcess:
    """One process of this package that prints JSON lines.

    Its log goes where the parent's goes.

    Args:
        module: name of the module to run.
        arguments: of its command line.

    Raises:
        InputError: the system cannot start a process, for lack of memory or file descriptors.
    """

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",  # a driver may print in any code page
            )
        except OSError as error:
            raise InputError(f"no process can be started ({error.strerror})", where=module) from None
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._listener = threading.Thread(
            target=self._listen, args=(self._process,), name=f"{module} output", daemon=True
        )
        self._listener.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code; None while it runs, negative for the signal that killed it."""
        return self._process.poll()

    @property
    def ending(self) -> str:
        """Description of its end: 'was killed (SIGSEGV)'; empty while it runs."""
        code = self.exit_code
        if code is None:
            return ""
        return f"was killed ({_signal_name(-code)})" if code < 0 else f"ended with exit code {code}"

    def said(self, timeout_s: float = 0.0) -> dict[str, Any] | None:
        """Return the next line that it printed; None if there is none in time."""
        try:
            return self._said.get(timeout=timeout_s) if timeout_s > 0 else self._said.get_nowait()
        except queue.Empty:
            return None

    def tell(self, **line: Any) -> None:
        """Write a line to its input, of a process that reads it."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):  # it may have ended already
                self._process.stdin.write(f"{json.dumps(line)}\n")
                self._process.stdin.flush()

    def ask_to_stop(self) -> None:
        """Close its input; it finishes its work and ends."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):  # it may have ended already
                self._process.stdin.close()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Ask it to stop and wait; kill it if it does not.

        One that cannot be killed either, for a drive or driver holds it, is left to the system.
        """
        self.ask_to_stop()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILLED_S)
        self._listener.join(KILLED_S)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Read what the process prints, and wait for its end."""
        if process.stdout is None:
            return
        with process.stdout as lines:
            for line in lines:
                try:
                    said = json.loads(line)
                except ValueError:  # a line that a camera library printed
                    continue
                if isinstance(said, dict):
                    self._said.put(said)
        process.wait()


def wait_said(child: ChildProcess, timeout_s: float, stop: threading.Event | None = None) -> dict[str, Any] | None:
    """Wait for the next line that a process prints.

    Args:
        child: the process.
        timeout_s: seconds to wait.
        stop: ends the wait.

    Returns:
        The line; None where it has ended without one or printed none in time, or where the wait was ended.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        ended, left_s = bool(child.ending), deadline_s - time.monotonic()
        if said := child.said(LAST_LINE_S if ended else min(POLL_S, left_s)):
            return said
        if ended or left_s <= 0 or (stop is not None and stop.is_set()):
            return None


def wait_answer(child: ChildProcess, timeout_s: float) -> dict[str, Any]:
    """Wait for the one line that a process answers with.

    Returns:
        The line, or {"error": ...} as soon as it has ended without one, or did not answer in time.
    """
    if (said := wait_said(child, timeout_s)) is not None:
        return said
    if child.ending:
        return {"error": f"the process that tried it {child.ending}"}
    return {"error": f"no answer within {timeout_s:g} s: a driver that hangs, or a computer that is very busy"}


def wait_ready(child: ChildProcess, timeout_s: float, stop: threading.Event | None = None) -> dict[str, Any]:
    """Wait for a camera process.

    Args:
        child: just started.
        timeout_s: seconds to wait.
        stop: ends the wait.

    Returns:
        {"endpoint": ...} as the process printed it, or {"error": ...} if it did not start in time.
    """
    if (said := wait_said(child, timeout_s, stop)) is not None:
        return {"error": f"the camera process failed: {said['failed']}"} if "failed" in said else said
    if child.ending:
        return {"error": f"the camera process {child.ending} before it was ready; {CRASHED}"}
    if stop is not None and stop.is_set():
        return {"error": "the run was stopped before the camera process was ready"}
    return {"error": f"the camera process did not start within {timeout_s:.0f} s"}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def send_line(**line: Any) -> None:
    """Send a line from a child to its parent, which may have ended."""
    with contextlib.suppress(OSError):
        os.write(1, f"{json.dumps(line)}\n".encode())  # sys.stdout would fail again when the interpreter ends


def leave_signals_to_parent() -> None:
    """Ignore Ctrl-C, Ctrl-Break, Ctrl-Z and a closing console.

    They reach every process of a console. The parent ends the child in order; and where the parent is suspended, a
    camera is still read and a laser made safe.
    """
    for name in ("SIGINT", "SIGBREAK", "SIGTSTP", "SIGHUP"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, signal.SIG_IGN)


def stop_requested() -> threading.Event:
    """Return an event that is set when the child should stop.

    It is set too when the parent has ended.

    What a console sends to all of its processes is left to the parent.
    """
    leave_signals_to_parent()
    stop = threading.Event()

    def wait() -> None:
        wait_for_closed_input()
        stop.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()
    return stop
