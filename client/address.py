"""Addresses of daemons as people type them."""

from __future__ import annotations

import re

DEFAULT = "tcp://127.0.0.1:5711"
FORM = re.compile(r"tcp://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>[0-9]{1,5})")
MAX_PORT = 65_535


def fault(address: str) -> str:
    """What is wrong with an address; empty when nothing is."""
    match = FORM.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= MAX_PORT:
        return f"{address!r} is no address; write tcp://HOST:PORT, such as {DEFAULT}."
    return ""
