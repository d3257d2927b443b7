"""Images that are left in the buffer while no sequence runs.

Micro-Manager keeps them until the next sequence begins: those of a sequence that began and ended while nothing was
asked are still there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from daemon.sources.core_clock import CoreClock
from daemon.sources.image_buffer import ImageBuffer, ImagesChangedError
from daemon.sources.sequence_identity import UNWATCHED_S, ImageTimes, SeenImage
from daemon.sources.tail import Tail


class MissedSequence(NamedTuple):
    """A sequence that began and ended unseen.

    Attributes:
        buffer: with its images.
        newest: the newest one.
    """

    buffer: ImageBuffer
    newest: SeenImage


class LeftImages:
    """Finds the images of a sequence that was missed.

    What is left when this is made belongs to the past.

    Args:
        clock: seconds that pass.
        core_clock: of the core's computer.

    Attributes:
        images: in the buffer, when it was asked last.
        unreadable: those of them that were missed, and are of another camera than the one that is chosen now.
    """

    def __init__(self, clock: Callable[[], float], core_clock: CoreClock) -> None:
        self._clock, self._core_clock = clock, core_clock
        self._followed: Tail | None = None  # whose images are known
        self._newest: tuple[int, float | None] | None = None  # number and time of the last one found here
        self.images, self._is_known, self._asked_s = 0, False, clock()
        self.unreadable, self._capacity = 0, 0

    def followed(self, tail: Tail) -> None:
        """Learn which sequence was followed last: its images are not missed."""
        self._followed, self._is_known = tail, False

    def missed(self, core: Any) -> MissedSequence | None:
        """Return a sequence that was missed, and whose images are left.

        Args:
            core: pycromanager's Core; no sequence runs on it.
        """
        unwatched = self._clock() - self._asked_s > UNWATCHED_S
        images = int(core.get_remaining_image_count())
        same, first = self._is_known and images == self.images, not self._is_known
        more, self.unreadable = images > self.images, 0
        self.images, self._is_known, self._asked_s = images, True, self._clock()
        if not images or (same and not unwatched):
            return None
        buffer = ImageBuffer(core)
        newest, capacity = self._look(buffer), buffer.capacity()
        if newest is None and not first and (more or capacity != self._capacity):  # no program has only taken some
            self.unreadable = images
        self._capacity = capacity
        if newest is None or not self._is_new(newest.stamp, unread_before=first or same):
            return None
        return MissedSequence(buffer, newest)

    def _look(self, buffer: ImageBuffer) -> SeenImage | None:
        """Find the newest image; None where the camera was changed since."""
        if not buffer.is_made_for_these_images():
            return None
        sent_s = self._clock()
        try:
            image = buffer.image(0)
        except ImagesChangedError:
            return None
        return None if image is None else SeenImage(self._core_clock.stamp(image, 0, self._clock()), 0, sent_s)

    def _is_new(self, stamp: ImageTimes, *, unread_before: bool) -> bool:
        known, tail = self._newest, self._followed
        self._newest, self._followed = (stamp.number, stamp.taken_s), None
        if tail is not None:
            return not tail.includes(stamp)
        return self._newest != known and not (known is None and unread_before)
