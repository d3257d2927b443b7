"""Gathering of events.

The first events of a kind are reported each, then they are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BURST = 20  # events of one kind that are reported each
REFILL_S = 5.0  # until one more of the kind may be reported
# Bounded already: by the rate limit of requests, and by the counts of rejected messages and keys.
ALWAYS_REPORTED = frozenset(
    {"mark", "setting_changed", "paused", "resumed", "stopping", "message_refused", "key_refused"}
)


@dataclass
class _Kind:
    tokens: float
    at_s: float
    held_back: int = 0


class EventGatherer:
    """Decides which events are reported, so that no fault fills the log.

    It is called under the account's lock.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}

    def admit(self, code: str) -> int | None:
        """Admit an event, or hold it back.

        Args:
            code: kind of the event.

        Returns:
            Number of events of this kind that were held back before this one; None if this one is held back, too.
        """
        if code in ALWAYS_REPORTED:
            return 0
        now = self._clock()
        kind = self._kinds.setdefault(code, _Kind(BURST, now))
        kind.tokens, kind.at_s = min(float(BURST), kind.tokens + (now - kind.at_s) / REFILL_S), now
        if kind.tokens < 1:
            kind.held_back += 1
            return None
        kind.tokens -= 1
        held_back, kind.held_back = kind.held_back, 0
        return held_back

    def overdue(self) -> dict[str, int]:
        """Take the counts of kinds that were held back and may be reported again."""
        now = self._clock()
        due = {
            code: kind.held_back
            for code, kind in self._kinds.items()
            if kind.held_back and kind.tokens + (now - kind.at_s) / REFILL_S >= 1
        }
        for code in due:
            self.admit(code)
        return due
