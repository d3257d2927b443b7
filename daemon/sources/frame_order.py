"""Images in the order of their numbers, with the losses between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from typing import Any

from daemon.sources.camera import Lost
from daemon.sources.losses import LossCause


class FrameOrder:
    """Images that were fetched, waiting for those before them.

    Args:
        first: number of the first image; None where it is the first one that is kept.

    Attributes:
        passed: all images up to this number were passed on or given up.
    """

    def __init__(self, first: int | None) -> None:
        self.passed, self._from_newest = -1 if first is None else first - 1, first is None
        self._kept: dict[int, Any] = {}
        self._out: deque[Any] = deque()

    @property
    def kept(self) -> Container[int]:
        """Numbers of images that were fetched and wait for those before them."""
        return self._kept

    @property
    def next_missing(self) -> int:
        """Number of the oldest image that is not there."""
        return self.passed + 1

    def keep(self, number: int, image: Any) -> bool:
        """Keep an image; return False where it was there already, or given up."""
        if self._from_newest:
            self._from_newest, self.passed = False, number - 1
        if number <= self.passed or number in self._kept:
            return False
        self._kept[number] = image
        self._advance()
        return True

    def lose(self, count: int, cause: LossCause) -> None:
        """Count frames as lost that have no numbers."""
        self._out.append(Lost(count, cause))

    def give_up(self, before: int, cause: LossCause) -> None:
        """Pass on the fetched images before a number, and lose the others.

        Args:
            before: number of the first image that is not given up.
            cause: of the loss.
        """
        while self.passed + 1 < before:
            later = min((number for number in self._kept if number < before), default=before)
            if lost := later - self.passed - 1:
                self.lose(lost, cause)
            self.passed = later - 1
            self._advance()

    def ready(self) -> Iterator[Any]:
        """Yield images in order, and losses where they happened."""
        while self._out:
            yield self._out.popleft()

    def _advance(self) -> None:
        while self.passed + 1 in self._kept:
            self.passed += 1
            self._out.append(self._kept.pop(self.passed))
