"""File of pictures, of whatever format."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from selfstorm.frames import Array
from selfstorm.io.atomic_files import GrowingFile


class PictureFile(GrowingFile):
    """A growing file of pictures of one shape and dtype."""

    @abstractmethod
    def add(self, picture: Array, record: Mapping[str, Any] | None = None) -> None:
        """Append a picture.

        Args:
            picture: (H, W).
            record: what it was made from; None where that is not known.
        """
