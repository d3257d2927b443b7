"""Frame numbers of a recording.

They are the camera's own, made to grow where they begin again.
"""

from __future__ import annotations


class Numbering:
    """Numbers of one recording from its first frame on.

    They go on growing where it is looped.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._shift = 0

    def next(self, number: int) -> tuple[int, int]:
        """Return the next frame's number and count the frames missing before it.

        A number that does not grow means that the camera restarted its count; the frames missing there are unknown.
        """
        shown = number + self._shift
        if self._last is not None and shown <= self._last:
            self._shift += self._last + 1 - shown
            shown = self._last + 1
        lost = 0 if self._last is None else shown - self._last - 1
        self._last = shown
        return shown, lost
