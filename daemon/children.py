"""Child processes, seen from both sides: told to stop by closing their standard input, heard line by line.

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
from collections.abc import Sequence
from typing import Any

STOP_S = 5.0


class Child:
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


def tell(**line: Any) -> None:
    """In a child: say something to the parent, who may be gone by now."""
    with contextlib.suppress(OSError):
        os.write(1, f"{json.dumps(line)}\n".encode())  # not sys.stdout: it would fail again when the interpreter ends


def asked_to_stop() -> threading.Event:
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
