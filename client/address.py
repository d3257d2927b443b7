"""Daemons as people name them: two addresses and a key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DEFAULT = "tcp://127.0.0.1:5711"
FORM = re.compile(r"tcp://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>[0-9]{1,5})")
MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Target:
    """A daemon. results: where it publishes. control: where it takes requests, where that is not one port above.

    key: the file of the key that lets us in; none on this machine.
    """

    results: str
    control: str = ""
    key: Path | None = None

    @property
    def control_address(self) -> str:
        """Where it takes requests; empty where there is no port above."""
        return self.control or default_control_address(self.results)


def address_error(address: str) -> str:
    """What is wrong with an address; empty when nothing is."""
    match = FORM.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= MAX_PORT:
        return f"{address!r} is no address; write tcp://HOST:PORT, such as {DEFAULT}."
    return ""


def default_control_address(results: str) -> str:
    """The address one port above, where a daemon takes requests unless its configuration says otherwise."""
    match = FORM.fullmatch(results)
    if match is None or int(match["port"]) >= MAX_PORT:
        return ""
    return f"tcp://{match['host']}:{int(match['port']) + 1}"
