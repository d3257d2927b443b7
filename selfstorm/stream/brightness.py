"""Brightness of each frame: flicker of the lamp, bleaching of the sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.acceleration import in_batches
from selfstorm.compute.device import precise
from selfstorm.frames import Array

BLOCK_PX = 8
MIN_GAIN = 0.05  # a dimmer frame is noise, which equal brightness would multiply
MEDIAN_FRAMES = 50  # more of them find the dim pixels no better


@dataclass(frozen=True, eq=False)
class FrameGains:
    """Relative brightness of some frames, estimated together.

    Attributes:
        numbers: (T,) of the frames.
        gains: (T, 1, 1), mean 1.
    """

    numbers: Array
    gains: Tensor


def frame_gains(*blocks: Tensor) -> Tensor:
    """Estimate the relative brightness of each frame.

    Flicker makes every pixel covary with every other and buries the structure. It is fitted by least squares on the
    dimmer half of the pixels against their temporal median, twice, on the two colours of a chessboard: a lamp moves
    both fits together, blinking emitters move each by itself. Their mean is shrunk towards 1 by how far they agree
    beyond chance (Spearman-Brown), so a steady lamp gives ones.

    Args:
        blocks: (T, H, W) photons, in one block or several.

    Returns:
        (T, 1, 1), mean 1, for the frames of all blocks.
    """
    frames = sum(map(len, blocks))
    step = -(-frames // MEDIAN_FRAMES)
    some = torch.cat([y[first::step] for first, y in zip(_offsets(blocks, step), blocks, strict=True)])
    weights = dim_pixels(median_of(some)).flatten(1).T
    return gains_of(torch.cat([y.flatten(1) @ weights for y in blocks]))


def dim_pixels(median: Tensor) -> Tensor:
    """Weigh the pixels that brightness is fitted on.

    Args:
        median: (H, W) photons, over time.

    Returns:
        (2, H, W), for each colour of the chessboard.
    """
    median, (height, width) = median.clamp(min=0), median.shape
    dim = (median <= median.median()).to(median.dtype) * median
    rows, columns = torch.arange(height, device=dim.device), torch.arange(width, device=dim.device)
    colour = (rows[:, None] // BLOCK_PX + columns // BLOCK_PX) % 2
    return torch.stack([dim * (colour == side) for side in (0, 1)])


def gains_of(fits: Tensor) -> Tensor:
    """Return the brightness of frames from their fits.

    Args:
        fits: (T, 2), of both colours.

    Returns:
        (T, 1, 1), mean 1.
    """
    level = fits.mean(0)
    first, second = (fits / level - 1).T
    spread = precise((first * first).mean().sqrt() * (second * second).mean().sqrt())
    agreement = (precise((first * second).mean()) / spread - 2 / math.sqrt(len(fits))).clamp(min=0)
    seen = (spread > 0) & (level.min() > 0)  # without light there is no change of it to see
    trust = 2 * agreement / (1 + agreement)
    gains = torch.where(seen, 1 + trust * 0.5 * (first + second), 1.0)
    return gains.clamp(min=MIN_GAIN)[:, None, None]


def median_of(frames: Tensor) -> Tensor:
    """Compute the lower median over time of frames (T, H, W)."""
    middle = (len(frames) - 1) // 2
    if not in_batches(frames.device):  # numpy selects, in a quarter of the time that torch takes to sort
        return torch.as_tensor(np.partition(frames.numpy(), middle, 0)[middle])
    return frames.median(0).values


def _offsets(blocks: Sequence[Tensor], step: int) -> Iterator[int]:
    """Iterate over the first sampled frame of each block.

    Sampled are the frames whose number among all frames is a multiple of the step.
    """
    before = 0
    for y in blocks:
        yield -before % step
        before += len(y)
