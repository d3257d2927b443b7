"""The valid frames of one window: brightness of each, and their means."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from selfstorm.errors import SelfStormError
from selfstorm.frames import Array
from selfstorm.stream.brightness import FrameGains, frame_gains
from selfstorm.stream.frame_selection import Rejected
from selfstorm.stream.frame_store import FrameBuffer, WindowSpan, numbers_of, since, with_slices

MIN_FRAMES = 8


class TooFewFramesError(SelfStormError):
    """Too few frames of a window are valid to make a picture."""


@dataclass(frozen=True, eq=False)
class WindowFrames:
    """The valid frames of a window.

    Attributes:
        blocks: the frames in blocks.
        first: number that the window starts with.
        numbers: (T,) of its frames.
        gains: (T, 1, 1) relative brightness, mean 1.
        seen: (H, W) photons, mean of the frames.
        mean: (H, W) photons, mean of the frames at equal brightness.
        smooth: (T, knots, knots) out-of-focus light of each frame less that of the mean.
        rejected: reason of each frame that is left out.
    """

    blocks: FrameBuffer
    first: int
    numbers: Array
    gains: Tensor
    seen: Tensor
    mean: Tensor
    smooth: Tensor
    rejected: tuple[str, ...]

    @classmethod
    def of(
        cls, buffer: FrameBuffer, rejected: Rejected, span: WindowSpan, known: FrameGains | None = None
    ) -> WindowFrames:
        """Collect the frames of the window that starts at span.first.

        These are all frames ingested since.

        Args:
            buffer: frames, those of the window among them.
            rejected: number and reason of the frames that are left out.
            span: position of the window in its stream.
            known: brightness that was estimated when the newest of them came.

        Raises:
            TooFewFramesError: too few of them are valid.
        """
        blocks = since(buffer, span.first)
        reasons = tuple(why for number, why in rejected if number >= span.first)
        frames = sum(map(len, blocks))
        check_enough(frames, reasons)
        numbers = numbers_of(blocks)
        if known is not None and np.array_equal(known.numbers, numbers):
            gains = known.gains
        else:
            gains = frame_gains(*(block.y for block in blocks))
        weights = torch.stack([torch.ones_like(gains), 1 / gains]).flatten(1)
        sums = [weights[:, part] @ block.y.flatten(1) for block, part in with_slices(blocks)]
        seen, mean = (torch.stack(sums).sum(0) / frames).view(2, *blocks[0].y.shape[1:])
        smooth = torch.cat([block.smooth for block in blocks])
        return cls(blocks, span.first, numbers, gains, seen, mean, smooth - smooth.mean(0), reasons)

    def __len__(self) -> int:
        return len(self.numbers)

    def newest(self, count: int) -> Tensor:
        """Return the last frames, at most `count`, at equal brightness.

        Returns:
            (T, H, W) photons.
        """
        first = len(self) - count
        newest = [(block.y, self.gains[part]) for block, part in with_slices(self.blocks) if part.stop > first]
        return torch.cat([y / gains for y, gains in newest])[-count:]

    @property
    def raw_mean(self) -> Array:
        """Mean frame, (H, W) float32 ADU."""
        return np.asarray(sum(block.raw_sum for block in self.blocks) / len(self), np.float32)

    @property
    def saturated_share(self) -> float:
        """Share of the pixel values that are saturated."""
        return sum(block.saturated for block in self.blocks) / (len(self) * self.mean.numel())

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user on frames left out."""
        return tuple(f"{n} frame{'s' * (n > 1)} left out: {why}" for why, n in Counter(self.rejected).items())


def check_enough(frames: int, rejected: tuple[str, ...]) -> None:
    """Check that enough frames of a window are valid.

    Raises:
        TooFewFramesError: There are too few; it gives the reason of each invalid frame.
    """
    if frames < MIN_FRAMES:
        why = "".join(f"; {n} are {reason}" for reason, n in Counter(rejected).items())
        raise TooFewFramesError(f"{frames} frames can be used, at least {MIN_FRAMES} are needed{why}")
