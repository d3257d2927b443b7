"""Address of a daemon, as users write it: HOST[:PORT].

    gpu-pc              results at port 5711, control at the next one, 5712
    gpu-pc:6000         results at 6000, control at 6001
    gpu-pc:6000,7000    control at a port of its own

`--daemon` of every command and the environment variable SELFSTORM_DAEMON take it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from selfstorm.errors import InputError

VARIABLE = "SELFSTORM_DAEMON"
USAGE = "HOST[:PORT]"
PORT = 5711
DEFAULT = f"127.0.0.1:{PORT}"
DEFAULT_RESULTS = f"tcp://{DEFAULT}"
MAX_PORT = 65_535
HOST = r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\])"
ENDPOINT = re.compile(rf"tcp://{HOST}:(?P<port>[0-9]{{1,5}})")
FORM = re.compile(rf"(?:tcp://)?{HOST}(?::(?P<port>[0-9]{{1,5}})(?:,(?P<control>[0-9]{{1,5}}))?)?")


@dataclass(frozen=True, slots=True)
class DaemonAddress:
    """A daemon to connect to.

    Attributes:
        results: Endpoint at which it publishes.
        control: Endpoint for requests; empty for the port after that of `results`.
        key: Key file; None for a daemon on this machine.
    """

    results: str
    control: str = ""
    key: Path | None = None

    @classmethod
    def of(cls, text: str, key: Path | None = None) -> DaemonAddress:
        """Read HOST[:PORT[,CONTROL]].

        Raises:
            InputError: It is none.
        """
        match = FORM.fullmatch(text.strip())
        ports = [] if match is None else [int(match["port"] or PORT), int(match["control"] or 1)]
        if match is None or not all(1 <= port <= MAX_PORT for port in ports):
            hint = f"write {USAGE}, such as {DEFAULT} or gpu-pc; the port is that of the results"
            raise InputError("is not the address of a daemon", where=repr(text), hint=hint)
        control = f"tcp://{match['host']}:{ports[1]}" if match["control"] else ""
        return cls(f"tcp://{match['host']}:{ports[0]}", control, key)

    @property
    def control_address(self) -> str:
        """Endpoint for requests; empty where there is no further port."""
        return self.control or default_control_address(self.results)

    def __str__(self) -> str:
        own = self.control and self.control != default_control_address(self.results)
        return self.results.removeprefix("tcp://") + (f",{self.control.rpartition(':')[2]}" if own else "")


def default_control_address(results: str) -> str:
    """Return the default control endpoint, one port after the results."""
    match = ENDPOINT.fullmatch(results)
    if match is None or int(match["port"]) >= MAX_PORT:
        return ""
    return f"tcp://{match['host']}:{int(match['port']) + 1}"
