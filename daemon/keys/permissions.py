"""Permissions of clients at the control endpoint."""

from __future__ import annotations

from dataclasses import dataclass

import zmq

from daemon.keys.allow_list import AllowList, named
from daemon.keys.store import Role
from daemon.protocol.verbs import READING

MAY_ONLY_WATCH = "this key may watch but not control; make one with 'selfstorm-daemon keys new NAME --control'"
REVOKED = "this key was revoked; on the daemon's machine: selfstorm-daemon keys list"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Permissions of one client.

    Attributes:
        name: shown in events.
        may_control: the client may change things, not only watch.
        allowed: False once its key was revoked, or without a key.
    """

    name: str
    may_control: bool
    allowed: bool = True

    @property
    def role(self) -> Role:
        """Role, as the client is informed of it."""
        return "control" if self.may_control else "view"


THIS_MACHINE = Permissions("this machine", may_control=True)


def permissions_of(part: zmq.Frame, allow_list: AllowList | None) -> Permissions:
    """Return the permissions of a message's sender.

    Args:
        part: any frame of the message, which carries the sender's key.
        allow_list: None at a loopback address, where every client may control.
    """
    if allow_list is None:
        return THIS_MACHINE
    try:
        public = str(part.get("User-Id"))
    except zmq.ZMQError:  # a connection without a key
        return Permissions("a client without a key", may_control=False, allowed=False)
    known = allow_list.of(public)
    if known is None:
        return Permissions(named(public), may_control=False, allowed=False)
    return Permissions(known.name, may_control=known.role == "control")


def refusal(client: Permissions, verb: str, allow_list: AllowList | None) -> str:
    """Return the reason to refuse a request; empty if it is allowed.

    A refusal is counted.

    Args:
        client: permissions of the sender.
        verb: of the request.
        allow_list: counts the refusal; None at a loopback address.
    """
    if client.allowed and (client.may_control or verb in READING):
        return ""
    if allow_list is not None:
        does = "sent a request after it was revoked" if not client.allowed else "tried to control and may only watch"
        allow_list.refuse(f"{client.name} {does}")
    return MAY_ONLY_WATCH if client.allowed else REVOKED
