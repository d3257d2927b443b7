"""Frames of an open movie by their numbers, read when a window needs them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selfstorm.errors import MovieError
from selfstorm.frames import Array
from selfstorm.io.frame_numbers import Numbering
from selfstorm.io.movies import MovieFile

MAX_GAP_FRAMES = 1_000_000  # a larger one is no loss but another recording


class MovieFrames:
    """The frames of a movie as the engine asks for them.

    numbers: (N,) of the frames that are there, from 0; a gap is lost frames. length: of the movie with them.
    frame_shape: (H, W) of each.
    """

    def __init__(self, movie: MovieFile) -> None:
        self._movie, numbering = movie, Numbering()
        self.frame_shape = movie.height, movie.width
        shown = np.array([numbering.next(movie.stamp(index).number)[0] for index in range(movie.length)], np.int64)
        if (np.diff(shown) > MAX_GAP_FRAMES).any():
            raise MovieError(
                f"has frame numbers with a gap of {int(np.diff(shown).max())}",
                where=movie.path,
                hint="choose frames before or after the gap with --frames",
            )
        self.numbers: NDArray[np.int64] = shown - shown[0]
        self.length = int(self.numbers[-1]) + 1

    @property
    def missing(self) -> int:
        """Frames that were lost.

        Those before the first and after the last that are there too, where the file tells of them.
        """
        return (self._movie.acquisition.frames or self.length) - len(self.numbers)

    def read(self, numbers: Array) -> Array:
        """Read (T, H, W) ADU of frames that are there.

        Raises:
            MovieError: one is not, or is damaged.
        """
        indices = np.searchsorted(self.numbers, numbers)
        there = self.numbers[np.minimum(indices, len(self.numbers) - 1)] == numbers
        if not there.all():
            raise MovieError(f"lacks frame {numbers[~there][0]}", where=self._movie.path)
        frames = np.empty((len(indices), self._movie.height, self._movie.width), self._movie.dtype)
        for place, index in enumerate(indices.tolist()):
            frames[place] = self._movie.frame(index)
        return frames
