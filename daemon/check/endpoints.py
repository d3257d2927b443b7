"""The configuration's two addresses: free, a daemon's, or somebody else's."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from daemon.asking import ask
from daemon.check.finding import Finding, ok, problem, warning
from daemon.config import ServerSection
from daemon.protocol.messages import Status
from selfstorm.errors import InputError

ANSWER_MS = 1500


def running(server: ServerSection) -> Status | None:
    """The account of the daemon that runs there, None where none answers."""
    if _is_free(server.control):
        return None
    try:
        return Status.model_validate(ask(server.control, "status", ANSWER_MS))
    except (InputError, ValueError):
        return None


def endpoints(server: ServerSection, status: Status | None) -> Iterator[Finding]:
    """Whether a daemon can listen there."""
    if status is not None:
        yield warning(
            "ports",
            f"a daemon runs on {server.control} ({status.state}, {status.source or 'no source yet'})",
            f"other ports under [server] for a second one, or: selfstorm-daemon stop --control {server.control}",
        )
        return
    for name, address in (("results", server.results), ("control", server.control)):
        if _is_free(address):
            yield ok("ports", f"{name}: {address} is free")
        else:
            yield problem(
                "ports",
                f"{name}: {address} is taken, and not by a daemon that answers",
                f"end what listens there, or set another {name} under [server]",
            )


def _is_free(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if port == "*":
        return True
    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True
