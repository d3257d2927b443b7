"""Where in a circular buffer the next frame is: numbers in, what to do out. Nothing here touches a camera.

Micro-Manager gives the image at a *distance* from the newest (0) without taking it out, and every image carries its
*number*. New images come in between two calls and push the others away; an overflow empties the whole buffer. So a
distance is only ever a guess, and the number found there says what it was:

    the next number          Take it
    a later number           Look as much further back as it is too late; nothing there: the oldest, the rest is lost
    an earlier number        numbers were skipped: Look nearer, halving, until the first later number is known
    ... beside an earlier    Look behind it once more, for new images may have pushed the next one there: only where an
                             earlier one, or none, stands right behind it, the numbers between are lost
    the last one at 0        Nothing new
    an earlier one at 0, or a clock that went back      Restarted: another sequence, its numbers begin again
"""

from __future__ import annotations

from dataclasses import dataclass

QUIET_LOOKS = 10
MOST_ASKED = 200


@dataclass(frozen=True, slots=True)
class Look:
    """Fetch the image at this distance from the newest and tell what was `found`, or that it is `gone`."""

    distance: int


@dataclass(frozen=True, slots=True)
class Take:
    """The image just found is the next frame; `lost` frames before it are gone for good."""

    lost: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """No new image yet."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The image just found belongs to another sequence; how many frames lie between is unknown."""


class Tail:
    """Follows one sequence, from the newest image on, or from the oldest when the sequence is seen from its start."""

    def __init__(self, *, from_oldest: bool = False) -> None:
        self._from_oldest = from_oldest
        self._last: int | None = None
        self._last_ms: float | None = None
        self._images = 0  # in the buffer when the next frame was expected at distance _next; -1: not there yet
        self._next = -1
        self._quiet = 0
        self._wanted = 0  # the next number that may still be there
        self._suspect: int | None = None  # a later number that seems to stand beside an earlier one
        self._asked = 0
        self._at, self._near, self._far = 0, -1, -1  # this search: asked; known to be too new, too old; -1: unknown

    def look(self, images: int) -> Look | Nothing:
        """Begin a search. images: how many are in the buffer. An unchanged number is looked behind now and then."""
        grown, self._images = images - self._images, images
        self._near = self._far = -1
        self._suspect, self._asked = None, 0
        if grown == 0 and self._next < 0:
            self._quiet += 1
            if self._quiet % QUIET_LOOKS:
                return Nothing()
        if images == 0:
            return Nothing()
        if self._last is None:
            return self._ask(images - 1 if self._from_oldest else 0)
        return self._ask(min(max(self._next + grown, 0), images - 1))

    def found(self, number: int, camera_ms: float | None) -> Look | Take | Nothing | Restarted:
        """The image asked for has this number and this camera clock."""
        if self._last is None:
            return self._take(number, camera_ms)
        if number <= self._last:
            return self._too_old(number, camera_ms)
        if camera_ms is not None and self._last_ms is not None and camera_ms < self._last_ms:
            return Restarted()
        if number <= self._wanted or self._asked > MOST_ASKED:
            return self._take(number, camera_ms)
        skipped = number - self._wanted
        if self._near < 0 and self._far < 0:
            self._images += skipped  # they came in after the images were counted
        if self._suspect is None and 0 <= self._far <= self._at + 1:
            self._suspect = number
            return self._ask(self._at + 1)
        if self._suspect is not None:  # images came in since, and what was known of the older ones has moved
            self._suspect, self._far = None, -1
        self._near = self._at
        further = self._at + skipped
        return self._ask(further if self._far < 0 else min(further, (self._near + self._far) // 2))

    def gone(self, images: int) -> Look | Nothing:
        """There was no image at the distance asked for; so many are there now."""
        if self._suspect is not None:
            return self._proven(self._suspect)
        self._images, self._near, self._far = images, -1, images
        if images == 0:
            self._next = -1
            return Nothing()
        return self._ask(images - 1)

    def _proven(self, number: int) -> Look:
        """Right behind this number there is an older one or none: what lies between is lost, and this is the next."""
        self._wanted, self._suspect = number, None
        return self._ask(self._at - 1)

    def _too_old(self, number: int, camera_ms: float | None) -> Look | Nothing | Restarted:
        if self._at == 0:
            self._next = -1
            return Nothing() if (number, camera_ms) == (self._last, self._last_ms) else Restarted()
        if self._suspect is not None:
            return self._proven(self._suspect)
        self._far = self._at
        return self._ask((self._near + self._far) // 2 if 0 <= self._near < self._far else 0)

    def _ask(self, distance: int) -> Look:
        self._at, self._asked = distance, self._asked + 1
        return Look(distance)

    def _take(self, number: int, camera_ms: float | None) -> Take:
        lost = 0 if self._last is None else number - self._last - 1
        self._last, self._last_ms, self._wanted = number, camera_ms, number + 1
        self._next, self._quiet = self._at - 1, 0
        return Take(lost)
