"""Loopback addresses, which only this machine can reach.

All others need keys.
"""

from __future__ import annotations

import re

LOOPBACK = re.compile(r"tcp://(127\.0\.0\.1|localhost|\[::1\]):(\*|\d{1,5})")
EVERYWHERE = re.compile(r"tcp://(\*|0\.0\.0\.0|\[::\]):")


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach an address."""
    return LOOPBACK.fullmatch(address) is not None


def from_here(address: str) -> str:
    """Turn a bound address into one that this machine can connect to."""
    return EVERYWHERE.sub("tcp://127.0.0.1:", address)


def from_elsewhere(address: str) -> str:
    """Turn a bound address into one for another machine.

    'THIS-PC' stands for the name of this machine where all its addresses are bound.
    """
    return EVERYWHERE.sub("tcp://THIS-PC:", address)
