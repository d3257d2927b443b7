"""Signals that stop the daemon, on every system."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class StopSignals:
    """Turns signals into a request to stop.

    They are Ctrl-C, SIGTERM and a closed terminal. A second Ctrl-C ends the program at once.

    Args:
        ask_to_stop: called in the main thread, from the handler of the signal.
    """

    def __init__(self, ask_to_stop: Callable[[], None]) -> None:
        self._ask_to_stop, self._asked = ask_to_stop, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # of a closed terminal, and Windows' Ctrl-Break
            number = getattr(signal, name, None)
            if number is not None:
                self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True
        self._ask_to_stop()
