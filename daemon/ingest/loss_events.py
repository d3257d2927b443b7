"""Events about lost frames.

They report the place, the cause, the number since the last event, and a remedy.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from daemon.health import Health
from daemon.sources.kinds import loss_of
from daemon.sources.losses import BY_CAUSE, LossCause, SourceLoss

QUIET_S, MAX_QUIET_S = 5.0, 60.0  # doubled while frames go on being lost
SINGULAR = (("1 frames were", "1 frame was"), ("1 frames are", "1 frame is"), ("1 frames", "1 frame"))
IN_TRANSIT = SourceLoss(
    "frames_missing",
    "{count} frames were lost in transit: the network or this machine could not keep up; windows they belong to say so",
    "in transit",
)


class Losses:
    """Events about the losses of one stream.

    The first loss of a kind is reported at once, later ones are gathered, for longer the longer it goes on.
    """

    def __init__(self, health: Health, source: str) -> None:
        self._health = health
        self._at_source = loss_of(source)
        self._reported: dict[str, int] = {}
        self._due_s: dict[str, float] = {}
        self._quiet_s: dict[str, float] = {}

    def report(self, missing: int, at_source: Mapping[str, int], *, last: bool = False) -> None:
        """Report the losses of the stream so far.

        Args:
            missing: frames lost in transit.
            at_source: frames lost before sending, by cause.
            last: the stream has ended, so that nothing is gathered any more.
        """
        self._report(IN_TRANSIT, missing, last)
        for cause, total in at_source.items():
            loss = self._at_source if cause == LossCause.AT_SOURCE else BY_CAUSE[LossCause(cause)]
            self._report(loss, total, last)

    def _report(self, loss: SourceLoss, total: int, last: bool) -> None:
        newly, now = total - self._reported.get(loss.code, 0), time.monotonic()
        due_s, waited_s = self._due_s.get(loss.code, 0.0), self._quiet_s.get(loss.code, 0.0)
        if newly and (last or now >= due_s):
            goes_on = waited_s and now < due_s + waited_s
            quiet_s = self._quiet_s[loss.code] = min(2 * waited_s, MAX_QUIET_S) if goes_on else QUIET_S
            self._reported[loss.code], self._due_s[loss.code] = total, now + quiet_s
            self._health.event("warning", loss.code, _sentence(loss, newly, self._health.rate_hz()))


def _sentence(loss: SourceLoss, count: int, rate_hz: float) -> str:
    """Write the text of an event, in the singular for one frame."""
    text = loss.sentence.format(count=count, rate=rate_hz)
    if count == 1:
        for plural, singular in SINGULAR:
            text = text.replace(plural, singular, 1)
    return text


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
