"""The numbers that a recording's frames are published under: the camera's own, made to grow where they begin again."""

from __future__ import annotations


class Numbering:
    """One recording's, from its first frame on, round after round where it is looped."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._shift = 0

    def next(self, number: int) -> tuple[int, int]:
        """What the next frame is published under, and how many before it are missing in the recording.

        A number that does not grow says that the camera began to count again: what is missing there nobody knows.
        """
        shown = number + self._shift
        if self._last is not None and shown <= self._last:
            self._shift += self._last + 1 - shown
            shown = self._last + 1
        lost = 0 if self._last is None else shown - self._last - 1
        self._last = shown
        return shown, lost
