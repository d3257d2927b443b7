"""ChildProcess processes, seen from both sides: told to stop by closing their standard input, heard line by line.

A closed input also reaches a child whose parent was killed, on Windows as on Unix: no child outlives the daemon.
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

STOP_S = 5.0
CRASHED = "look at what it logged; where there is a camera, at its driver and device adapter"


class ChildProcess:
    """One process of this package that prints JSON lines. Its log goes where ours goes."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, name=f"{module} output", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that killed it."""
        return self._process.poll()

    @property
    def ending(self) -> str:
        """How it ended, in words: 'was killed (SIGSEGV)'; empty while it runs."""
        code = self.exit_code
        if code is None:
            return ""
        return f"was killed ({_signal_name(-code)})" if code < 0 else f"ended with exit code {code}"

    def said(self, timeout_s: float = 0.0) -> dict[str, Any] | None:
        """The next line it printed, None when there is none within the time."""
        try:
            return self._said.get(timeout=timeout_s) if timeout_s > 0 else self._said.get_nowait()
        except queue.Empty:
            return None

    def ask_to_stop(self) -> None:
        """Close its input; it finishes what it must and ends."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):  # it may be gone already
                self._process.stdin.close()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Ask it to stop and wait; kill it when it does not."""
        self.ask_to_stop()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _listen(self) -> None:
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:  # a camera library that prints: not for us
                continue
            if isinstance(said, dict):
                self._said.put(said)


def wait_ready(child: ChildProcess, timeout_s: float) -> dict[str, Any]:
    """What a camera process says when it begins: {"endpoint": ...}; {"error": ...} where it did not begin in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        ended = bool(child.ending)
        if said := child.said(1.0 if ended else 0.1):
            return {"error": f"the camera process failed: {said['failed']}"} if "failed" in said else said
        if ended:
            return {"error": f"the camera process {child.ending} before it began; {CRASHED}"}
    return {"error": f"the camera process did not start within {timeout_s:.0f} s"}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def send_line(**line: Any) -> None:
    """In a child: say something to the parent, who may be gone by now."""
    with contextlib.suppress(OSError):
        os.write(1, f"{json.dumps(line)}\n".encode())  # not sys.stdout: it would fail again when the interpreter ends


def stop_requested() -> threading.Event:
    """In a child: an event that is set when the parent wants it to stop, or is gone.

    Ctrl-C, which reaches every process of a console, is left to the parent to decide on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = threading.Event()

    def wait() -> None:
        while os.read(0, 4096):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
        stop.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()
    return stop
