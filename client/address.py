"""Addresses of a daemon: results, control, and the key file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DEFAULT = "tcp://127.0.0.1:5711"
FORM = re.compile(r"tcp://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>[0-9]{1,5})")
MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class DaemonAddress:
    """A daemon to connect to.

    Attributes:
        results: Address at which it publishes.
        control: Address for requests; empty for the port after that of `results`.
        key: Key file; None for a daemon on this machine.
    """

    results: str
    control: str = ""
    key: Path | None = None

    @property
    def control_address(self) -> str:
        """Address for requests; empty where there is no further port."""
        return self.control or default_control_address(self.results)


def address_error(address: str) -> str:
    """Describe the fault of an address; empty for a valid one."""
    match = FORM.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= MAX_PORT:
        return f"{address!r} is not a valid address; write tcp://HOST:PORT, for example {DEFAULT}."
    return ""


def default_control_address(results: str) -> str:
    """Return the daemon's default control address, one port after its results."""
    match = FORM.fullmatch(results)
    if match is None or int(match["port"]) >= MAX_PORT:
        return ""
    return f"tcp://{match['host']}:{int(match['port']) + 1}"
