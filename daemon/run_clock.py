"""Clock of the run: wall time at the start, monotonic from there.

A computer's clock may be set back or jump while an experiment runs. Durations and order come from this clock, so that
no latency is negative and no picture looks older than the one before.
"""

from __future__ import annotations

import time

_OFFSET_NS = time.time_ns() - time.monotonic_ns()


def unix_ns() -> int:
    """Return nanoseconds since 1970, never less than before."""
    return _OFFSET_NS + time.monotonic_ns()
