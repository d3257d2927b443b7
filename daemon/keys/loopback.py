"""Which addresses only this machine can reach: there everything stays plain, beyond them there must be keys."""

from __future__ import annotations

import re

LOOPBACK = re.compile(r"tcp://(127\.0\.0\.1|localhost|\[::1\]):(\*|\d{1,5})")
EVERYWHERE = re.compile(r"tcp://(\*|0\.0\.0\.0|\[::\]):")


def is_loopback(address: str) -> bool:
    """Whether no other machine can reach an address."""
    return LOOPBACK.fullmatch(address) is not None


def from_here(address: str) -> str:
    """Where this machine finds what is bound there: 'everywhere' is no address to connect to."""
    return EVERYWHERE.sub("tcp://127.0.0.1:", address)


def from_elsewhere(address: str) -> str:
    """The same as another machine would write it, as far as this one knows."""
    return EVERYWHERE.sub("tcp://THIS-PC:", address)
