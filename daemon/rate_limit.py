"""Rate limit per client, for any number of clients."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_CLIENTS = 1000


class RateLimit:
    """Token bucket for every client.

    Args:
        rate_hz: tokens that are added a second.
        burst: size of a bucket, in tokens.
        clock: monotonic seconds.
    """

    def __init__(self, rate_hz: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_hz, self._burst, self._clock = rate_hz, burst, clock
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def allows(self, client: bytes) -> bool:
        """Take a token of this client; return False if it has none.

        The client that has been silent for longest is forgotten when there are too many.
        """
        now = self._clock()
        tokens, at_s = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at_s) * self._rate_hz)
        self._buckets[client] = (max(tokens - 1, 0.0), now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return tokens >= 1
