"""Access to the daemon's control endpoint, and why it may be unavailable.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ONLY_LOOKS = (
    "Your key allows viewing only. A key with control is made on the daemon's machine: "
    "selfstorm-daemon keys new NAME --control."
)
LISTENING = "Waiting for the daemon to say what this viewer is allowed to do."
MOVIE = "This is a saved movie; there is no daemon to control."
NOT_CONNECTED = "Not connected to a daemon: choose File > Connect."


@dataclass(frozen=True, slots=True)
class ControlAccess:
    """State of the control connection.

    Attributes:
        address: Control endpoint; empty without a daemon.
        answered: Whether the last request was answered.
        why: Reason where it was not.
        role: Permission of this viewer's key, 'view' or 'control'; empty where the daemon does not tell.
        settings: Settings that can be changed, by key.
    """

    address: str = ""
    answered: bool = False
    why: str = ""
    role: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """True while requests are possible."""
        return not unavailable_reason(self)


def unavailable_reason(access: ControlAccess, *, movie: bool = False) -> str:
    """Explain why the daemon cannot be controlled and what to do.

    Empty where it can be controlled.
    """
    if movie:
        return MOVIE
    if not access.address:
        return NOT_CONNECTED
    if not access.answered:
        return access.why or LISTENING
    return ONLY_LOOKS if access.role == "view" else ""


def headline(access: ControlAccess, *, movie: bool = False) -> str:
    """Summarise the access in a few words, for the top of the menu."""
    if movie or not access.address:
        return "Not connected to a daemon"
    if not access.answered:
        return f"{access.address} does not answer" if access.why else f"Connecting to {access.address} …"
    if access.role == "view":
        return "View only: this key cannot control"
    return f"Controls {access.address}"
