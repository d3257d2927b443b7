"""Process that owns the laser, and makes it safe when orders end.

It lives as long as its orders do:

    an order is older than MAX_SILENCE_S    the loop, the daemon or the network stands still: safe, end
    its standard input is closed            the loop has ended, or was killed: safe, end
    the laser cannot be set                 safe, as soon as that can be set, end

It is a process of its own, for one that computes or waits cannot be relied on to switch a laser off.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator

from daemon.feedback.laser import Laser, open_laser, set_checked
from daemon.feedback.settings import FeedbackSettings
from daemon.transport.child_process import leave_signals_to_parent, send_line
from selfstorm.errors import InputError, first_line

MAX_SILENCE_S = 1.5
RETRY_INTERVAL_S, RETRY_S, END_S = 0.2, 4.0, 6.0

log = logging.getLogger(__name__)


class Orders:
    """Values for the laser, JSON lines on the standard input."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._value: float | None = None
        self._at_s, self._closed = time.monotonic(), False
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def end(self) -> None:
        """Let no order hold any more.

        The process ends within END_S then, even if Micro-Manager never answers the call that is pending.
        """
        with self._changed:
            if not self._closed:
                self._closed = True
                threading.Timer(END_S, os._exit, [1]).start()
            self._changed.notify()

    def next(self, value: float) -> float | None:
        """Wait for an order of another value.

        Args:
            value: that is set now.

        Returns:
            The value; None as soon as no order holds any more.
        """
        with self._changed:
            while True:
                left_s = self._at_s + MAX_SILENCE_S - time.monotonic()
                if self._closed or left_s <= 0:
                    return None
                if self._value is not None and self._value != value:
                    return self._value
                self._changed.wait(left_s)

    def _read(self) -> None:
        for line in _lines_of_input():
            try:
                value = float(json.loads(line)["value"])
            except (ValueError, KeyError, TypeError):
                break
            with self._changed:
                self._value, self._at_s = value, time.monotonic()
                self._changed.notify()
        self.end()


def _lines_of_input() -> Iterator[bytes]:
    rest = b""
    while received := os.read(0, 4096):  # sys.stdin would hold its lock when the interpreter ends
        *lines, rest = (rest + received).split(b"\n")
        yield from lines


def main() -> int:
    """Set the laser as ordered, and to its safe value in the end.

    Returns:
        Exit code; 0 if the laser is at its safe value.
    """
    leave_signals_to_parent()
    settings = FeedbackSettings.model_validate_json(sys.argv[1])
    try:
        laser = open_laser(settings)
    except Exception as error:
        send_line(failed=first_line(error))
        return 1
    orders = Orders()  # not earlier: no library may be loaded while a thread reads the input
    try:
        send_line(value=set_checked(laser, settings.safe, settings))
        _follow(laser, orders, settings)
    except InputError as error:
        send_line(failed=str(error))
    orders.end()
    made_safe = _make_safe(laser, settings)
    laser.close()
    return int(not made_safe)


def _follow(laser: Laser, orders: Orders, settings: FeedbackSettings) -> None:
    value = settings.safe
    while (ordered := orders.next(value)) is not None:
        if ordered != settings.safe:
            ordered = min(max(ordered, settings.minimum), settings.maximum)
        set_checked(laser, ordered, settings)
        value = ordered
        send_line(value=value)


def _make_safe(laser: Laser, settings: FeedbackSettings) -> bool:
    """Set the safe value, again and again until the device takes it."""
    deadline_s = time.monotonic() + RETRY_S
    while True:
        try:
            set_checked(laser, settings.safe, settings)
        except InputError as error:
            if time.monotonic() > deadline_s:
                log.error("the laser is NOT at its safe value: %s", error)
                return False
            time.sleep(RETRY_INTERVAL_S)
        else:
            send_line(safe=settings.safe)
            return True


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # pyjavaz's threads would wait for a Micro-Manager that is gone
