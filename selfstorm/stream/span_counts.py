"""Localizations of a part of the field, counted span by span of time.

The earlier and the later half of a recording of any length are compared without its frames: spans of a few lengths are
kept, and when there are too many, neighbours are added up and the next are twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from selfstorm.frames import Array
from selfstorm.metrics.frc import halves_resolution_nm
from selfstorm.metrics.split_halves import MAX_RESOLUTION_NM, MIN_LOCALIZATIONS, cell_of

Floats = NDArray[np.float64]
Counts = NDArray[np.float32]

MAX_SPANS = 8  # even; of them the halves differ by a span at most


@dataclass(frozen=True, eq=False)
class SpanCounts:
    """Counts of localizations on cells, oldest first.

    Attributes:
        corner_nm: (y, x) of the part.
        size_nm: (height, width) of the part.
        counts: (cells, cells) of each span.
        frames: Frames of each span.
        length: Frames of a whole span; 0 before the first.
    """

    corner_nm: tuple[float, float]
    size_nm: tuple[float, float]
    counts: tuple[Counts, ...] = ()
    frames: tuple[int, ...] = ()
    length: int = 0

    @property
    def cell_nm(self) -> float:
        """Side of the cells."""
        return cell_of(*self.size_nm)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells of the part, at least 4 along each side."""
        height, width = (max(int(side / self.cell_nm), 4) for side in self.size_nm)
        return height, width

    def with_frames(self, frames: int, yx_nm: Floats) -> SpanCounts:
        """Add the localizations of new frames.

        Args:
            frames: Number of the frames, at least 1.
            yx_nm: (E, 2) positions in the field; those outside the part are not counted.
        """
        rows, columns = self.shape
        edges = np.arange(rows + 1) * self.cell_nm, np.arange(columns + 1) * self.cell_nm
        at = yx_nm - self.corner_nm
        new: Array = np.histogram2d(at[:, 0], at[:, 1], bins=edges)[0].astype(np.float32)
        if self.counts and self.frames[-1] < self.length:
            grown = self.frames[-1] + frames
            return replace(self, counts=(*self.counts[:-1], self.counts[-1] + new), frames=(*self.frames[:-1], grown))
        added = replace(self, counts=(*self.counts, new), frames=(*self.frames, frames), length=self.length or frames)
        return added if len(added.counts) <= MAX_SPANS else added._merged()

    def _merged(self) -> SpanCounts:
        """Return spans of twice the length; the newest is left as it is."""
        pairs = range(0, MAX_SPANS, 2)
        counts = (*(self.counts[i] + self.counts[i + 1] for i in pairs), self.counts[-1])
        frames = (*(self.frames[i] + self.frames[i + 1] for i in pairs), self.frames[-1])
        return replace(self, counts=counts, frames=frames, length=2 * self.length)

    def halves(self) -> tuple[Floats, Floats] | None:
        """Return the counts of the earlier and of the later half.

        They are divided where their localizations are closest in number.

        Returns:
            None where one of them has too few.
        """
        if len(self.counts) < 2:
            return None
        until = np.cumsum([float(span.sum()) for span in self.counts])
        middle = 1 + int(np.abs(until[:-1] - until[-1] / 2).argmin())
        first, second = (
            np.asarray(np.sum(part, 0, np.float64)) for part in (self.counts[:middle], self.counts[middle:])
        )
        return None if min(first.sum(), second.sum()) < MIN_LOCALIZATIONS else (first, second)

    def resolution_nm(self) -> float | None:
        """Return the period up to which the halves agree.

        It is too fine where both were found with one density; see `selfstorm.stream.accumulation`.

        Returns:
            None where it is not finer than the PSF.
        """
        halves = self.halves()
        resolution = None if halves is None else halves_resolution_nm(*halves, self.cell_nm)
        return None if resolution is None or resolution > MAX_RESOLUTION_NM else resolution
