"""Status line of a running daemon: one line of a terminal, rewritten.

It uses no escape sequences, which older Windows consoles do not know.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from daemon.protocol.findings import run_findings
from daemon.protocol.losses import missing_frames
from daemon.protocol.messages import Status
from daemon.watch.panel import FINDING_NAMES, printable
from selfstorm.metrics.metric import duration_text

REWRITE_S = 1.0
CLOSE_S = 1.0  # a console that is blocked is not waited for


class StatusLine:
    """Last line of a terminal, in a thread of its own.

    Text written to it, such as the log, stands above the line. Where the stream is no terminal, there is no line.

    Args:
        stream: Standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = ""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Return itself; there is no line before start()."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Remove the line."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def start(self, status: Callable[[], Status]) -> None:
        """Show a status, read anew every second."""
        if self._stream.isatty():
            self._thread = threading.Thread(target=self._run, args=(status,), name="status-line", daemon=True)
            self._thread.start()

    def write(self, text: str) -> int:
        """Write text above the line."""
        with self._lock:
            shown = self._shown
            self._replace("")
            self._stream.write(text)
            self._replace(shown)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def show(self, text: str) -> None:
        """Show a text in place of the one before, cut at the terminal's width."""
        columns = shutil.get_terminal_size().columns
        with self._lock:
            self._replace(text if len(text) < columns else f"{text[: columns - 2]}…")

    def _replace(self, text: str) -> None:
        if text != self._shown:
            blank = " " * len(self._shown)
            self._stream.write(f"\r{blank}\r{text}")
            self._stream.flush()
            self._shown = text

    def _run(self, status: Callable[[], Status]) -> None:
        while not self._stop.is_set():
            self.show(status_text(status()))
            self._stop.wait(REWRITE_S)
        self.show("")


def status_text(status: Status) -> str:
    """Write a status on one line, its warnings last."""
    frames, windows, latency_ms = status.frames, status.windows, status.metrics.get("latency_ms")
    lost = missing_frames(status) - frames.missing
    parts = (
        "paused" if status.paused else status.state,
        f"{status.rate_hz:.1f} /s",
        f"sent {frames.sent} = received {frames.received} + missing {frames.missing}"
        + (f", lost {lost}" if lost else ""),
        f"{windows.published} pictures" + (f", {windows.skipped} skipped" if windows.skipped else ""),
        "" if latency_ms is None else f"latency {duration_text(latency_ms)}",
        f"recorded {status.recorded_frames}" if status.recording else "",
        *(f"{FINDING_NAMES[one.level]} {printable(one.why)}" for one in run_findings(status) if one.serious),
    )
    return " | ".join(part for part in parts if part)
