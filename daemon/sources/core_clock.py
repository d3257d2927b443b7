"""The clock of the core's computer, as ours."""

from __future__ import annotations

from collections import deque

from daemon.sources.image_buffer import BufferedImage
from daemon.sources.sequence_identity import ImageTimes

CALLS = 64


class CoreClock:
    """Converts times of the core.

    A call answers after the image was received: the earliest answer of the last images shows how the clocks differ.
    """

    def __init__(self) -> None:
        self._differences_s: deque[float] = deque(maxlen=CALLS)

    def stamp(self, image: BufferedImage, answered_s: float) -> ImageTimes:
        """Return number and times of an image.

        Args:
            image: that was found.
            answered_s: end of the call that found it, by our clock.
        """
        received_s = image.received_s
        if received_s is not None:
            self._differences_s.append(answered_s - received_s)
            received_s += min(self._differences_s)
        return ImageTimes(image.number, image.camera_ms, received_s, image.received_s)
