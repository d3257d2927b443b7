"""Messages that cannot be used: counted by reason, told at the first, the tenth, the hundredth, ..."""

from __future__ import annotations

from daemon.health import Health

MOST_REASONS = 20
LONGEST = 200
OTHERS = "for other reasons"


class Refusals:
    """The count of one intake. Whatever is sent, neither the reasons nor the events become many."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._counts: dict[str, int] = {}

    def refuse(self, why: str) -> None:
        """One message was refused."""
        reason = why[:LONGEST]
        if reason not in self._counts and len(self._counts) >= MOST_REASONS:
            reason = OTHERS
        count = self._counts[reason] = self._counts.get(reason, 0) + 1
        self._health.frames(malformed_messages=1)
        self._health.report(refused=dict(self._counts))
        if count == 10 ** (len(str(count)) - 1):
            so_far = f" ({count} times so far)" if count > 1 else ""
            self._health.event("warning", "message_refused", f"a message of the source was refused{so_far}: {reason}")
