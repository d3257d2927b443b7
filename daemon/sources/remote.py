"""zmq:HOST:PORT, a frame stream that another program publishes.

There is nothing to start or restart, only to wait for.
"""

from __future__ import annotations

from daemon.health import Health
from daemon.keys.loopback import is_loopback
from daemon.silence import Silence
from daemon.sources.section import SourceSection

SILENCE_S = 3.0


def awaited(endpoint: str) -> str:
    """Describe the awaited publisher, and how to start it."""
    if is_loopback(endpoint):
        look = "whether the SSH tunnel is up if it is on another machine"
    else:
        look = "whether name and port are right, and no firewall is between"
    return f"a publisher on {endpoint}: start one there ('selfstorm-daemon publish SOURCE'), and look {look}"


def check_publisher(source: SourceSection) -> None:
    """Check the address of a publisher.

    It is on this machine, behind a tunnel that ends on this machine, or it knows our key.

    Raises:
        ValueError: frames could never come from there.
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
    """A publisher elsewhere, in place of a supervised camera process.

    It may come and go at any time.
    """

    ends_with_source = False
    pid = None

    def __init__(self, source: SourceSection, health: Health) -> None:
        self._health, self._silence = health, Silence()
        self.endpoint, self.subscribers = f"tcp://{source.place}", 0
        self.away = True
        self._waiting = f"for {awaited(self.endpoint)}"
        self._heard_at_first_s: float | None = None
        health.report(source=source.uri, source_state="waiting", detail=self._waiting)
        health.event("info", "source_waits", f"the source waits: {self._waiting}")

    def check(self, heard_s: float, resume_at: int, sent: int) -> None:
        """Report whether the publisher is heard.

        Args:
            heard_s: time of its last message.
            resume_at: not used here.
            sent: not used here.
        """
        if self._heard_at_first_s is None:
            self._heard_at_first_s = heard_s
        silence_s = self._silence.lasts_s(heard_s)
        silent = heard_s == self._heard_at_first_s or silence_s > SILENCE_S
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
        """Do nothing: the publisher is not ours to stop."""

    def stop(self, timeout_s: float = 0.0) -> None:
        """Do nothing: the publisher is not ours to stop."""
