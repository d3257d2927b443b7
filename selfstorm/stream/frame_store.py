"""Buffer of the frames that windows may still need.

The emitters found in the frames are kept with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.localizations import Localizations

FEW_FRAMES, MANY_MORE = 60, 1.5


@dataclass(frozen=True)
class WindowSpan:
    """Position of a window, or of some of its frames, in a stream.

    Attributes:
        numbers: (T,) int64, rising, of the frames that arrived.
        first: number that the window starts with, whether that frame arrived or not.
        stride: frames from one window's start to the next.
        to_come: frames of the window after these, where it is ingested in parts.
    """

    numbers: Array
    first: int
    stride: int
    to_come: int = 0


@dataclass(frozen=True, eq=False)
class FrameBlock:
    """Consecutive frames, and the emitters found in them.

    Attributes:
        numbers: (T,) of the frames.
        y: (T, H, W) photons.
        smooth: (T, knots, knots) out-of-focus light at equal brightness (selfstorm.stages.out_of_focus).
        raw_sum: (H, W) float64, ADU.
        saturated: number of saturated values.
        total: (rows, columns) photons, sum of the emitter maps; None before they were made.
        background: (H, W) photons, mean of the light that the emitter maps were found in; None likewise.
        found: localizations with the stream's frame numbers; None where none were wanted.
        prior_frames: frames behind the density that was the prior of the emitters.
    """

    numbers: Array
    y: Tensor
    smooth: Tensor
    raw_sum: Array
    saturated: int = 0
    total: Tensor | None = None
    background: Tensor | None = None
    found: Localizations | None = None
    prior_frames: int = 0

    def __len__(self) -> int:
        return len(self.numbers)


FrameBuffer = tuple[FrameBlock, ...]


def blocks_of(span: WindowSpan, y: Tensor, smooth: Tensor, raw: Array, saturated: Array) -> FrameBuffer:
    """Divide new frames into blocks that no window of their stream cuts.

    Args:
        span: All of the frames.
        y: (T, H, W) photons.
        smooth: (T, knots, knots) out-of-focus light.
        raw: (T, H, W) ADU.
        saturated: (T,) number of saturated values of each frame.
    """
    edges = np.flatnonzero(np.diff((span.numbers - span.first) // span.stride)) + 1
    runs = (slice(int(run[0]), int(run[-1]) + 1) for run in np.split(np.arange(len(span.numbers)), edges))
    return tuple(
        FrameBlock(span.numbers[r], y[r], smooth[r], raw[r].sum(0, dtype=np.float64), int(saturated[r].sum()))
        for r in runs
    )


def since(buffer: Iterable[FrameBlock], first: int) -> FrameBuffer:
    """Return the blocks from frame number `first` on."""
    return tuple(block for block in buffer if block.numbers[0] >= first)


def tail(buffer: Sequence[FrameBlock], frames: int) -> FrameBuffer:
    """Return the last blocks that together hold a number of frames.

    All blocks are returned where they hold fewer.
    """
    held = 0
    for count, block in enumerate(reversed(buffer), 1):
        held += len(block)
        if held >= frames:
            return tuple(buffer[-count:])
    return tuple(buffer)


def numbers_of(buffer: Sequence[FrameBlock]) -> Array:
    """Return the numbers of all frames, (T,)."""
    return np.concatenate([block.numbers for block in buffer]) if buffer else np.zeros(0, np.int64)


def with_slices(buffer: Sequence[FrameBlock]) -> Iterator[tuple[FrameBlock, slice]]:
    """Iterate over the blocks, each with its slice of all the frames."""
    first = 0
    for block in buffer:
        yield block, slice(first, first + len(block))
        first += len(block)


def needs_emitters(block: FrameBlock, localized: bool, prior_frames: int) -> bool:
    """Return whether the emitters of a block are still to be found.

    They are found again where the prior came from few frames and now comes from many more.

    Args:
        block: some frames.
        localized: emitters are wanted as localizations, not as maps alone.
        prior_frames: frames behind the density as it is now.
    """
    if (block.found if localized else block.total) is None:
        return True
    return block.prior_frames < FEW_FRAMES and prior_frames >= MANY_MORE * block.prior_frames


def pending_frames(buffer: Sequence[FrameBlock], first: int, localized: bool, prior_frames: int) -> int:
    """Count the frames from number `first` on that need emitters found."""
    return sum(len(block) for block in since(buffer, first) if needs_emitters(block, localized, prior_frames))
