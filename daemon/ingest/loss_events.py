"""Events about lost frames.

They report the place, the cause, the number since the last event, and a remedy.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from daemon.health import Health
from daemon.sources.kinds import loss_of
from daemon.sources.losses import BY_CAUSE, LossCause, SourceLoss

QUIET_S = 5.0
IN_TRANSIT = SourceLoss(
    "frames_missing",
    "{count} frames were lost in transit: the network or this machine could not keep up; windows they belong to say so",
    "in transit",
)


class Losses:
    """Events about the losses of one stream.

    The first loss of a kind is reported at once, later ones are gathered for some seconds.
    """

    def __init__(self, health: Health, source: str) -> None:
        self._health = health
        self._at_source = loss_of(source)
        self._reported: dict[str, int] = {}
        self._due_s: dict[str, float] = {}

    def report(self, missing: int, at_source: Mapping[str, int]) -> None:
        """Report the losses of the stream so far.

        Args:
            missing: frames lost in transit.
            at_source: frames lost before sending, by cause.
        """
        self._report(IN_TRANSIT, missing)
        for cause, total in at_source.items():
            self._report(self._at_source if cause == LossCause.AT_SOURCE else BY_CAUSE[LossCause(cause)], total)

    def _report(self, loss: SourceLoss, total: int) -> None:
        newly, now = total - self._reported.get(loss.code, 0), time.monotonic()
        if newly and now >= self._due_s.get(loss.code, 0.0):
            self._reported[loss.code], self._due_s[loss.code] = total, now + QUIET_S
            text = loss.sentence.format(count=newly, rate=self._health.rate_hz())
            self._health.event("warning", loss.code, text)


def known_causes(total: int, in_camera: int, by_cause: Mapping[str, int]) -> dict[str, int]:
    """Split a sender's losses by cause.

    Causes without a text of their own count as the usual loss of the source. A sender of an older version names
    `in_camera` only.

    Args:
        total: frames lost at the source.
        in_camera: of them inside the camera.
        by_cause: as the sender reports them.
    """
    known = {cause: count for cause, count in by_cause.items() if cause in set(BY_CAUSE)}
    known[LossCause.IN_CAMERA] = in_camera
    return {**known, LossCause.AT_SOURCE: total - sum(known.values())}
