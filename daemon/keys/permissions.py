"""Who asks at the control endpoint, and what they may ask."""

from __future__ import annotations

from dataclasses import dataclass

import zmq

from daemon.keys.allow_list import AllowList, named
from daemon.keys.store import Role
from daemon.protocol.verbs import LOOKING

ONLY_LOOKS = "this key may look and not control; ask for one with 'selfstorm-daemon keys new NAME --control'"
REVOKED = "this key was revoked; on the daemon's machine: selfstorm-daemon keys list"


@dataclass(frozen=True, slots=True)
class Permissions:
    """admitted: no longer, where the key was revoked after the connection was made."""

    name: str
    may_control: bool
    admitted: bool = True

    @property
    def role(self) -> Role:
        """As it is told to the peer."""
        return "control" if self.may_control else "view"


HERE = Permissions("this machine", may_control=True)


def permissions_of(part: zmq.Frame, guests: AllowList | None) -> Permissions:
    """Who sent a message, by any part of it; guests: None where only this machine can."""
    if guests is None:
        return HERE
    try:
        public = str(part.get("User-Id"))
    except zmq.ZMQError:  # it came through no door
        return Permissions("somebody without a key", may_control=False, admitted=False)
    guest = guests.of(public)
    if guest is None:
        return Permissions(named(public), may_control=False, admitted=False)
    return Permissions(guest.name, may_control=guest.role == "control")


def refusal(peer: Permissions, verb: str, guests: AllowList | None) -> str:
    """Why a peer may not ask this, counted and told; empty where it may."""
    if peer.admitted and (peer.may_control or verb in LOOKING):
        return ""
    if guests is not None:
        does = (
            "asked for something after it was revoked" if not peer.admitted else "asked for control and may only look"
        )
        guests.refuse(f"{peer.name} {does}")
    return ONLY_LOOKS if peer.admitted else REVOKED
