"""zmq:HOST:PORT, a frame stream that somebody else publishes: nothing to start or restart, only to wait for."""

from __future__ import annotations

import time

from daemon.health import Health
from daemon.keys.loopback import is_loopback
from daemon.sources.section import SourceSection

SILENCE_S = 3.0


def awaited(endpoint: str) -> str:
    """What is waited for, and what to do about it, while nothing is heard from there."""
    if is_loopback(endpoint):
        look = "whether the SSH tunnel is up if it is on another machine"
    else:
        look = "whether name and port are right, and no firewall is between"
    return f"a publisher on {endpoint}: start one there ('selfstorm-daemon publish SOURCE'), and look {look}"


def check_publisher(source: SourceSection) -> None:
    """Check where a publisher should be: on this machine, behind a tunnel that ends on it, or one that knows our key.

    Raises ValueError where frames could never come from there.
    """
    host, _, port = source.place.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"'{source.uri}' is not zmq:HOST:PORT: write zmq:127.0.0.1:5710")
    if not is_loopback(f"tcp://{source.place}") and source.key is None:
        raise ValueError(
            f'{host} gives its frames only to whom it knows: write key = "NAME.key" under [source]; on {host}, '
            f"'selfstorm-daemon keys new NAME' makes that file, and 'selfstorm-daemon publish SOURCE --bind "
            f"tcp://0.0.0.0:{port}' publishes"
        )


class ExternalSource:
    """Stands where the supervisor of a camera process stands; its publisher comes and goes as it likes."""

    ends_with_source = False
    pid = None

    def __init__(self, source: SourceSection, health: Health) -> None:
        self._health = health
        self.endpoint, self.subscribers = f"tcp://{source.place}", 0
        self.away = True
        self._waiting = f"for {awaited(self.endpoint)}"
        self._heard_at_first_s: float | None = None
        health.report(source=source.uri, source_state="waiting", detail=self._waiting)
        health.event("info", "source_waits", f"the source waits: {self._waiting}")

    def check(self, heard_s: float, resume_at: int, sent: int) -> None:
        """Say whether the publisher is heard. heard_s: when intake last heard of it; the others are of no use here."""
        if self._heard_at_first_s is None:
            self._heard_at_first_s = heard_s
        silent = heard_s == self._heard_at_first_s or time.monotonic() - heard_s > SILENCE_S
        if silent and not self.away:
            self._health.event(
                "warning", "source_silent", f"nothing came for {SILENCE_S:.0f} s; waiting {self._waiting}"
            )
        elif self.away and not silent:
            self._health.event("info", "source_heard", f"the publisher on {self.endpoint} is heard")
        self.away = silent
        if silent:
            self._health.report(source_state="waiting", detail=self._waiting)

    def ask_to_stop(self) -> None:
        """Not ours to stop."""

    def stop(self) -> None:
        """Not ours to stop."""
