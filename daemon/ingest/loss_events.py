"""What is said of frames that were lost: where, how many since it was said last, and what to do about it."""

from __future__ import annotations

import time

from daemon.health import Health
from daemon.sources.kinds import loss_of

QUIET_S = 5.0
SENTENCES = {
    "frames_missing": "{} frames were lost in transit: the network or this machine could not keep up; windows they "
    "belong to say so",
    "lost_in_camera": "about {} frames were lost at the source, inside the camera: its clock ran on while its numbers "
    "did not; look at its cable, its driver and how busy its computer is",
}


class Losses:
    """Events of one stream: the first loss of a kind at once, more of it gathered for some seconds."""

    def __init__(self, health: Health, source: str) -> None:
        self._health = health
        self._before_sending = loss_of(source)
        self._told: dict[str, int] = {}
        self._due_s: dict[str, float] = {}

    def before_sending(self, total: int) -> None:
        """So many frames of the stream were lost before they could be sent, as their numbers show."""
        self._tell(self._before_sending.code, self._before_sending.sentence, total)

    def tell(self, code: str, total: int) -> None:
        """So many frames of the stream are lost in this way by now."""
        self._tell(code, SENTENCES[code], total)

    def _tell(self, code: str, sentence: str, total: int) -> None:
        newly, now = total - self._told.get(code, 0), time.monotonic()
        if newly and now >= self._due_s.get(code, 0.0):
            self._told[code], self._due_s[code] = total, now + QUIET_S
            self._health.event("warning", code, sentence.format(newly))
