"""Images of which it is in doubt to which sequence they belong.

An image of a known number is fetched again: if it was taken at another time, the images are another sequence's. Images
come in during each call, so another one may be found in its place.
"""

from __future__ import annotations

from daemon.sources.sequence_identity import ImageTimes, SequenceIdentity

MAX_LOOKS, MAX_ARRIVING = 6, 8  # to fetch an image again, and images that come in during each of them


class ImagesInDoubt:
    """Fetches an image of a known number again.

    Args:
        identity: of the sequence that is followed.
    """

    def __init__(self, identity: SequenceIdentity) -> None:
        self._identity = identity
        self._newest, self._arriving, self._looks = 0, 0, 0
        self._newest_is_old = False  # it may be that since the call for it was sent

    def begin(self, newest: int, *, newest_is_old: bool) -> None:
        """Begin with an image that showed the doubt.

        Args:
            newest: number of the newest image, by that one.
            newest_is_old: the call for it took so long that many may have come since.
        """
        self._identity.in_doubt = True
        self._newest, self._newest_is_old = newest, newest_is_old
        self._arriving = self._looks = 0

    @property
    def distance(self) -> int:
        """Distance of the next image to fetch."""
        if self._newest_is_old:
            return 0
        return min(max(0, self._newest + self._arriving - self._identity.known_number), self._newest)

    @property
    def is_given_up(self) -> bool:
        """True after so many looks that nothing will show it."""
        return self._looks >= MAX_LOOKS

    def compare(self, stamp: ImageTimes, distance: int, *, another: bool) -> bool | None:
        """Compare an image that was fetched again with the one before.

        Args:
            stamp: number and times of the image.
            distance: at which it was found.
            another: it shows by itself that another sequence has begun.

        Returns:
            True where it is one of this sequence, False where it is another one's, None where nothing shows it.
        """
        self._looks, self._newest_is_old = self._looks + 1, False
        if another:
            return False
        included = self._identity.includes(stamp)
        if self.is_given_up or included or self._identity.knows(stamp.number):
            return included
        self._newest = stamp.number + distance  # it was found in the place of the known one; the camera may have paused
        if self._looks > 1:  # the first one shows what came since the last answer, which may be long ago
            arriving = self._arriving + stamp.number - self._identity.known_number
            self._arriving = min(max(0, arriving), MAX_ARRIVING)
        return None
