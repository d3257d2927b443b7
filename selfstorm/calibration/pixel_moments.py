"""Mean and variance of each pixel over a stack, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from selfstorm.errors import InputError
from selfstorm.frames import Array

MIN_FRAMES = 20
BLOCK_VALUES = 2**22  # of frames, in float64 at once


@dataclass(frozen=True, eq=False)
class PixelMoments:
    """Statistics of a stack of frames under constant light.

    Attributes:
        frames: their number.
        mean: (H, W) float64 ADU.
        variance: (H, W) float64 ADU^2, of each pixel over time.
        common: variance of the mean over all pixels, ADU^2: the lamp's.
    """

    frames: int
    mean: Array
    variance: Array
    common: float

    @classmethod
    def of(cls, frames: Iterable[Array]) -> PixelMoments:
        """Measure a stack.

        Deviations from the first frame are summed, so that no digits are lost.

        Args:
            frames: (H, W) ADU each, of one shape.

        Raises:
            InputError: there are too few.
        """
        stack = iter(frames)
        first = next(stack, None)
        if first is None:
            raise InputError("holds no frames", hint=f"give at least {MIN_FRAMES}")
        origin = first.astype(np.float64)
        total, squares = np.zeros_like(origin), np.zeros_like(origin)
        count, levels = 1, [0.0]
        for block in _blocks(stack, origin.size):
            deviation = block - origin
            total += deviation.sum(0)
            squares += np.einsum("tyx,tyx->yx", deviation, deviation)
            levels.extend(deviation.mean((1, 2)))
            count += len(block)
        if count < MIN_FRAMES:
            raise InputError(f"has {count} frames", hint=f"give at least {MIN_FRAMES}, better several hundred")
        variance = (squares - total**2 / count) / (count - 1)
        return cls(count, origin + total / count, variance, float(np.var(levels, ddof=1)))

    def noise(self, offset: Array) -> Array:
        """Return the variance without that of the lamp, (H, W) ADU^2.

        A lamp that flickers or fades moves all pixels together, each in proportion to its light. Shot noise leaves
        next to nothing in the mean over all pixels, and that is subtracted first.

        Args:
            offset: (H, W) ADU, of the dark pixels.
        """
        light = self.mean - offset
        level = float(light.mean())
        if level <= 0:
            return self.variance
        lamp = max(self.common - float(self.variance.mean()) / self.variance.size, 0.0) / level**2
        return np.asarray(np.maximum(self.variance - lamp * light**2, 0.0))


def _blocks(frames: Iterable[Array], pixels: int) -> Iterable[Array]:
    """Yield frames together, (T, H, W) float64."""
    together, waiting = max(1, BLOCK_VALUES // pixels), list[Array]()
    for frame in frames:
        waiting.append(frame)
        if len(waiting) == together:
            yield np.stack(waiting).astype(np.float64)
            waiting = []
    if waiting:
        yield np.stack(waiting).astype(np.float64)
