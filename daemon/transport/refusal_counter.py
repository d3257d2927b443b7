"""Count of rejected messages by reason.

The first, tenth, hundredth, ... of each reason is an event.
"""

from __future__ import annotations

from daemon.health import Health
from selfstorm.printable import printable

MAX_REASONS = 20
MAX_REASON_CHARACTERS = 200
OTHERS = "for other reasons"


class RejectionCounter:
    """Counts the rejected messages of one socket.

    The numbers of reasons and of events are bounded.

    Args:
        what: name of what is rejected, in events.
        counted_in: field of the status with the counts.
    """

    def __init__(self, health: Health, what: str = "a message of the source", counted_in: str = "refused") -> None:
        self._health, self._what, self._counted_in = health, what, counted_in
        self._counts: dict[str, int] = {}

    def refuse(self, why: str) -> None:
        """Count one rejected message."""
        reason = printable(why, MAX_REASON_CHARACTERS)
        if reason not in self._counts and len(self._counts) >= MAX_REASONS:
            reason = OTHERS
        count = self._counts[reason] = self._counts.get(reason, 0) + 1
        self._health.report(**{self._counted_in: dict(self._counts)})
        if count == 10 ** (len(str(count)) - 1):
            so_far = f" ({count} times so far)" if count > 1 else ""
            self._health.event("warning", "message_refused", f"{self._what} was refused{so_far}: {reason}")
