"""What is said of frames that were lost: where, how many since it was said last, and what to do about it."""

from __future__ import annotations

import time

from daemon.health import Health

QUIET_S = 5.0
STORED = {"replay": "missing_in_recording", "ndtiff": "missing_in_data_set"}
SENTENCES = {
    "frames_missing": "{} frames were lost in transit: the network or this machine could not keep up; windows they "
    "belong to say so",
    "lost_at_source": "{} frames were lost at the source, in the camera's buffer: they came faster than they were "
    "taken; use a smaller region, a longer exposure or a larger sequence buffer",
    "missing_in_recording": "{} frames are missing in what is played: its numbers skip them, or they cannot be read",
    "missing_in_data_set": "{} frames are missing in the data set: the camera's numbers skip them, so they were lost "
    "before they were saved",
    "lost_in_camera": "about {} frames were lost at the source, inside the camera: its clock ran on while its numbers "
    "did not; look at its cable, its driver and how busy its computer is",
}


def is_stored(source: str) -> bool:
    """Whether the frames of a source (its URI) lie on a disk: they wait, and an outage costs none."""
    return source.partition(":")[0] in STORED


class Losses:
    """Events of one stream: the first loss of a kind at once, more of it gathered for some seconds."""

    def __init__(self, health: Health, source: str) -> None:
        self._health = health
        self._before_sending = STORED.get(source.partition(":")[0], "lost_at_source")
        self._told: dict[str, int] = {}
        self._due_s: dict[str, float] = {}

    def before_sending(self, total: int) -> None:
        """So many frames of the stream were lost before they could be sent, as their numbers show."""
        self.tell(self._before_sending, total)

    def tell(self, code: str, total: int) -> None:
        """So many frames of the stream are lost in this way by now."""
        newly, now = total - self._told.get(code, 0), time.monotonic()
        if newly and now >= self._due_s.get(code, 0.0):
            self._told[code], self._due_s[code] = total, now + QUIET_S
            self._health.event("warning", code, SENTENCES[code].format(newly))
