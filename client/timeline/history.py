"""History of the last windows, as many as fit into a given memory.

Immutable; no Qt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from client.picture.pictures import PicturePair

LIMIT_BYTES = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Pairs of pictures, numbered from 0 in the order of their windows.

    The order is the one in which the windows were first shown.

    Attributes:
        limit_bytes: Memory limit; the oldest pairs are dropped beyond it.
        first: Number of the oldest pair in memory.
        pairs: The pairs in memory.
        used_bytes: Memory used; above the limit only where a single pair is.
    """

    limit_bytes: int = LIMIT_BYTES
    first: int = 0
    pairs: tuple[PicturePair, ...] = ()
    used_bytes: int = 0

    @property
    def count(self) -> int:
        """Number of windows since the start."""
        return self.first + len(self.pairs)

    @property
    def last(self) -> int:
        """Number of the newest pair; -1 before the first."""
        return self.count - 1

    @property
    def newest(self) -> PicturePair | None:
        """Newest pair."""
        return self.pairs[-1] if self.pairs else None

    def get(self, number: int) -> PicturePair | None:
        """Return the pair of that number.

        None where it is no longer, or not yet, in memory.
        """
        return self.pairs[number - self.first] if self.first <= number < self.count else None

    def number_of(self, window: tuple[str, int]) -> int | None:
        """Return the number of a window's pair, searching from the newest."""
        return next((self.last - i for i, pair in enumerate(reversed(self.pairs)) if pair.window == window), None)

    def add(self, pair: PicturePair) -> History:
        """Append a pair."""
        return self._within(self.first, (*self.pairs, pair), self.used_bytes + pair.memory_bytes)

    def put(self, number: int, pair: PicturePair) -> History:
        """Replace the pair of that number."""
        place = number - self.first
        used_bytes = self.used_bytes - self.pairs[place].memory_bytes + pair.memory_bytes
        return self._within(self.first, (*self.pairs[:place], pair, *self.pairs[place + 1 :]), used_bytes)

    def _within(self, first: int, pairs: tuple[PicturePair, ...], used_bytes: int) -> History:
        forgotten = 0
        while used_bytes > self.limit_bytes and forgotten < len(pairs) - 1:
            used_bytes -= pairs[forgotten].memory_bytes
            forgotten += 1
        return replace(self, first=first + forgotten, pairs=pairs[forgotten:], used_bytes=used_bytes)
