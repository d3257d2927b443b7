"""A part of a movie: some of its frames, a region of its field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from selfstorm.errors import InputError, MovieError
from selfstorm.frames import Array, Region
from selfstorm.io.reader import Reader, Stamp


def parse_frames(text: str) -> slice:
    """Read FIRST:LAST, as a slice does.

    FIRST counts from 0 and LAST is not included; either may be left out.

    Raises:
        InputError: it is something else, or empty.
    """
    first, colon, last = text.partition(":")
    if not colon or not all(part.isdecimal() or not part for part in (first, last)):
        raise InputError(
            f"'{text}' is not a range of frames", where="--frames", hint="give FIRST:LAST, as in 1000:3000"
        )
    chosen = slice(int(first or 0), int(last) if last else None)
    if chosen.stop is not None and chosen.stop <= chosen.start:
        raise InputError(f"'{text}' has no frames", where="--frames", hint="let LAST be larger than FIRST")
    return chosen


def parse_region(text: str) -> Region:
    """Read Y,X,HEIGHT,WIDTH in camera pixels.

    Raises InputError where it is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isdecimal() for part in parts) or 0 in (int(parts[2]), int(parts[3])):
        raise InputError(
            f"'{text}' is not a region",
            where="--region",
            hint="give Y,X,HEIGHT,WIDTH in camera pixels, as in 0,64,128,128",
        )
    return Region(*map(int, parts))


class PartOfMovie:
    """Some frames of another reader's movie, cut to a region; see Reader.

    Numbers and times stay the movie's.
    """

    def __init__(self, reader: Reader, frames: slice | None, region: Region | None, where: object) -> None:
        indices = range(reader.length)[frames or slice(None)]
        if not len(indices):
            raise MovieError(f"has {reader.length} frames", where=where, hint="choose others with --frames")
        if region is not None and not region.within(reader.height, reader.width):
            raise MovieError(
                f"has frames of {reader.height} x {reader.width} pixels", where=where, hint="choose a --region in them"
            )
        self._reader, self._first, self._region = reader, indices[0], region
        self.length = len(indices)
        self.height, self.width = (region.height, region.width) if region else (reader.height, reader.width)
        self.dtype, self.pixel_nm, self.paths, self.notes = reader.dtype, reader.pixel_nm, reader.paths, reader.notes
        y, x = reader.acquisition.roi_yx
        shift = (region.y, region.x) if region else (0, 0)
        self.acquisition = replace(
            reader.acquisition,
            roi_yx=(y + shift[0], x + shift[1]),
            frames=None if frames else reader.acquisition.frames,
        )

    def pixels(self, index: int) -> Array:
        """Read (H, W) of one frame, as stored."""
        pixels = self._reader.pixels(self._first + index)
        return pixels if self._region is None else np.ascontiguousarray(self._region.of(pixels))

    def stamp(self, index: int) -> Stamp:
        """Read number and time of one frame."""
        return self._reader.stamp(self._first + index)

    def close(self) -> None:
        """Close all files."""
        self._reader.close()
