"""Check that the configuration's two addresses are free."""

from __future__ import annotations

from collections.abc import Iterator

from daemon.check.probes import ok, problem, warning
from daemon.config import ServerSection
from daemon.control.client import ask
from daemon.keys.loopback import from_here, is_loopback
from daemon.keys.store import Keyring
from daemon.preflight import is_free
from daemon.protocol.address import DEFAULT, DaemonAddress
from daemon.protocol.messages import Status
from selfstorm.errors import InputError
from selfstorm.metrics.finding import Finding

ANSWER_MS = 1500


def running(server: ServerSection) -> Status | None:
    """Ask for the status of a running daemon; None where none answers."""
    if is_free(server.control):
        return None
    try:
        key = None if is_loopback(server.control) else Keyring(server.keys).own_key()
        return Status.model_validate(ask(from_here(server.control), "status", ANSWER_MS, key))
    except (InputError, ValueError):
        return None


def endpoints(server: ServerSection, status: Status | None) -> Iterator[Finding]:
    """Check that a daemon can bind its addresses, and its keys."""
    if status is not None:
        yield warning(
            "ports",
            f"a daemon is running on {server.control} ({status.state}, {status.source or 'no source yet'})",
            f"set other ports under [server], or stop it: selfstorm-daemon stop{_option(server)}",
        )
        return
    for name, address in (("results", server.results), ("control", server.control)):
        if not is_loopback(address):
            yield from _keys(server, name, address)
        if is_free(address):
            yield ok("ports", f"{name}: {address} is free")
        else:
            yield problem(
                "ports",
                f"{name}: {address} is in use by another program",
                f"close that program, or set another {name} under [server]",
            )


def _option(server: ServerSection) -> str:
    """Write the option that addresses a daemon; empty for the default one."""
    address = DaemonAddress(from_here(server.results), from_here(server.control))
    return f" --daemon {address}" if str(address) != DEFAULT else ""


def _keys(server: ServerSection, name: str, address: str) -> Iterator[Finding]:
    ring = Keyring(server.keys)
    try:
        ring.required(address)
    except InputError as error:
        yield problem("keys", f"{name}: {error.where}: {error.what}", error.hint)
    else:
        names = ", ".join(f"{one.name} ({one.role})" for one in ring.allowed())
        yield ok("keys", f"{name}: {address} admits {names}")
