"""What is known of the way to the daemon's control, and in words why something cannot be asked of it now. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ONLY_LOOKS = (
    "Your key may look and not control; on the daemon's machine: selfstorm-daemon keys new NAME --control makes one "
    "that may."
)
LISTENING = "The daemon is being asked what this viewer may do."
MOVIE = "This is a saved movie: there is no daemon to control."
NOT_CONNECTED = "There is no daemon yet: choose File > Connect."


@dataclass(frozen=True, slots=True)
class ControlAccess:
    """address: of the control endpoint; empty without a daemon. answered: whether the newest question was answered.

    why: why not, where it was not. role: what the daemon lets this viewer do, 'view' or 'control'; a daemon that does
    not say it refuses by itself. settings: those that can be changed, by key.
    """

    address: str = ""
    answered: bool = False
    why: str = ""
    role: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether there is somebody to ask who lets us."""
        return not unavailable_reason(self)


def unavailable_reason(access: ControlAccess, *, movie: bool = False) -> str:
    """Why the daemon cannot be controlled at all, and what to do about it; empty where it can."""
    if movie:
        return MOVIE
    if not access.address:
        return NOT_CONNECTED
    if not access.answered:
        return access.why or LISTENING
    return ONLY_LOOKS if access.role == "view" else ""


def headline(access: ControlAccess, *, movie: bool = False) -> str:
    """The same in a few words, for the head of a menu."""
    if movie or not access.address:
        return "No daemon to control"
    if not access.answered:
        return f"{access.address} does not answer" if access.why else f"Asking {access.address} …"
    if access.role == "view":
        return "Your key may look and not control"
    return f"Controls {access.address}"
