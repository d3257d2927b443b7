"""The clock of the core's computer, as ours."""

from __future__ import annotations

import math
from collections import deque

from daemon.sources.image_buffer import BufferedImage
from daemon.sources.sequence_identity import ImageTimes

CALLS = 64


class CoreClock:
    """Converts times of the core.

    A call answers after the image was received: the earliest answer of the newest images shows how the clocks differ.
    Older images may have waited in the buffer for as long as it is large.
    """

    def __init__(self) -> None:
        self._differences_s: deque[float] = deque(maxlen=CALLS)

    def stamp(self, image: BufferedImage, distance: int, answered_s: float) -> ImageTimes:
        """Return number and times of an image.

        Args:
            image: that was found.
            distance: at which it was, 0 for the newest.
            answered_s: end of the call that found it, by our clock.
        """
        received_s = image.received_s
        if received_s is not None:
            difference_s = answered_s - received_s
            if not distance or difference_s < min(self._differences_s, default=math.inf):
                self._differences_s.append(difference_s)
            received_s += min(self._differences_s)
        return ImageTimes(image.number, image.camera_ms, received_s, image.received_s)
