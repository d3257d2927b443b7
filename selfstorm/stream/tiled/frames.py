"""Frames of a tiled field, kept once and read in parts as photons.

They are on the board as the camera sent them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.physics.bad_data import interpolate_hot_pixels
from selfstorm.stream.brightness import MEDIAN_FRAMES, dim_pixels, gains_of, median_of
from selfstorm.stream.frame_store import FrameBuffer, numbers_of
from selfstorm.stream.instrument import Calibration
from selfstorm.stream.tiled.board import Board
from selfstorm.stream.tiled.tile import TileSettings, photons_of
from selfstorm.stream.window import WindowFrames

PIXELS_AT_ONCE = 2**24  # of all that is converted at once, as float32 64 MiB


@dataclass(frozen=True, eq=False)
class FieldFrames:
    """The frames of a field on its board.

    Frame n is in slot n modulo the number of slots, so that a window that is tried again writes what is there.

    Attributes:
        board: of the field.
        calibration: camera and bad pixels.
        settings: of the tiles.
        device: of what is computed of the whole field.
    """

    board: Board
    calibration: Calibration
    settings: TileSettings
    device: torch.device

    @property
    def field(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.settings.grid.height, self.settings.grid.width

    def make_slots(self, kept: Array, span: int, dtype: np.dtype[np.generic]) -> None:
        """Make slots for frames whose numbers lie within a span.

        Args:
            kept: (T,) numbers of the frames that stay.
            span: from the first number of all frames to the last, inclusive.
            dtype: of the frames.
        """
        before = self.board.get("frames")
        if before is not None and len(before) >= span:
            return
        frames = self.board.reserve("frames", (span, *self.field), dtype)
        if before is not None and len(kept):
            frames[kept % span] = before[kept % len(before)]

    def slots(self, numbers: Array) -> Array:
        """Return the slots of frames, (T,)."""
        return np.asarray(numbers % len(self.board["frames"]), np.int64)

    def add(self, raw: Array, numbers: Array) -> Array:
        """Write frames to their slots, bad pixels replaced.

        Args:
            raw: (T, H, W) ADU.
            numbers: (T,) of the frames.

        Returns:
            (T,) number of saturated values of each frame.
        """
        slots, saturated = self.slots(numbers), np.zeros(len(raw), np.int64)
        for part in parts_of(len(raw), self.field):
            saturated[part] = self.calibration.saturated(raw[part]).sum((1, 2))
            filled = self.calibration.mask.filled(raw[part])
            self.board["frames"][slots[part]] = interpolate_hot_pixels(filled, self.calibration.hot_pixels)
        return saturated

    def choose(self, numbers: Array) -> None:
        """Choose the frames that are read next."""
        self.board.put("chosen", self.slots(numbers))

    def photons(self, chosen: slice, where: tuple[slice, slice]) -> Tensor:
        """Return a part of some of the chosen frames, (T, h, w)."""
        return photons_of(self.board, self.settings, chosen, where, self.device)

    def strips(self, frames: int) -> Iterator[tuple[slice, slice]]:
        """Cut the field into strips of rows that are converted at once.

        Args:
            frames: number of the frames.
        """
        height, width = self.field
        rows = max(1, PIXELS_AT_ONCE // (frames * width))
        yield from ((slice(row, min(row + rows, height)), slice(0, width)) for row in range(0, height, rows))

    def gains(self, numbers: Array) -> Tensor:
        """Estimate the brightness of frames; see `brightness.frame_gains`."""
        self.choose(numbers)
        frames, step = len(numbers), -(-len(numbers) // MEDIAN_FRAMES)
        median = torch.cat(
            [median_of(self.photons(slice(None, None, step), strip)) for strip in self.strips(-(-frames // step))]
        )
        weights = dim_pixels(median)
        fits = torch.zeros((frames, 2), device=self.device)
        for strip in self.strips(frames):
            fits += self.photons(slice(None), strip).flatten(1) @ weights[:, strip[0]].flatten(1).T
        return gains_of(fits)

    def window(self, blocks: FrameBuffer, first: int, rejected: tuple[str, ...]) -> WindowFrames:
        """Collect the frames of a window; see `WindowFrames.of`."""
        numbers = numbers_of(blocks)
        gains = self.gains(numbers)
        weights = torch.stack([torch.ones_like(gains), 1 / gains]).flatten(1) / len(numbers)
        seen, mean = torch.zeros((2, *self.field), device=self.device)
        for strip in self.strips(len(numbers)):
            y = self.photons(slice(None), strip)
            seen[strip], mean[strip] = (weights @ y.flatten(1)).view(2, *y.shape[1:])
        smooth = torch.cat([block.smooth for block in blocks])
        return WindowFrames(blocks, first, numbers, gains, seen, mean, smooth - smooth.mean(0), rejected)


def parts_of(frames: int, field: tuple[int, int]) -> Iterator[slice]:
    """Cut frames into parts that are converted at once."""
    together = max(1, PIXELS_AT_ONCE // (field[0] * field[1]))
    yield from (slice(first, min(first + together, frames)) for first in range(0, frames, together))
