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

    def next(self, number: int, missing: int = 0) -> tuple[int, int]:
        """Return the next frame's number and count the frames missing before it.

        A number that does not grow means that the camera restarted its count; the frames missing there are unknown.

        Args:
            number: of the frame.
            missing: frames before it that are missing by another count, at least.
        """
        shown = number + self._shift
        if self._last is not None and shown <= self._last + missing:
            self._shift += self._last + 1 + missing - shown
            shown = self._last + 1 + missing
        lost = missing if self._last is None else shown - self._last - 1
        self._last = shown
        return shown, lost
