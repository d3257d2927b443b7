"""So many requests a second from each peer and no more, whoever they are and however many."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_PEERS = 1000


class RateLimit:
    """A bucket of `burst` tokens for every peer, filled with rate_hz tokens a second."""

    def __init__(self, rate_hz: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_hz, self._burst, self._clock = rate_hz, burst, clock
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def allows(self, peer: bytes) -> bool:
        """Take a token of that peer; False where it has none. The peer not heard for longest is forgotten."""
        now = self._clock()
        tokens, at_s = self._buckets.pop(peer, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at_s) * self._rate_hz)
        self._buckets[peer] = (max(tokens - 1, 0.0), now)
        if len(self._buckets) > MAX_PEERS:
            self._buckets.popitem(last=False)
        return tokens >= 1
