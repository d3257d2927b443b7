"""Light that changes from frame to frame: flicker of the lamp, bleaching of the sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.device import precise

BLOCK_PX = 8
MEDIAN_FRAMES = 50  # tell what is dim as well as more of them


def frame_gains(*strips: Tensor) -> Tensor:
    """(T, 1, 1) relative brightness of every frame of y (T, H, W) photons, given in one piece or many, mean 1.

    Left in, it makes every pixel covary with every other and buries the structure. It is fitted by least squares on
    the dimmer half of the pixels against their temporal median, twice, on the two colours of a chessboard: a lamp
    moves both fits together, blinking emitters move each for itself. The mean of both is trusted as far as they
    agree beyond chance (Spearman-Brown), so a steady lamp gives ones.
    """
    frames, (height, width) = sum(map(len, strips)), strips[0].shape[1:]
    step = -(-frames // MEDIAN_FRAMES)
    some = torch.cat([y[first::step] for first, y in zip(_offsets(strips, step), strips, strict=True)])
    median = _median(some).clamp(min=0)
    dim = (median <= median.median()).to(median.dtype) * median
    rows, columns = torch.arange(height, device=dim.device), torch.arange(width, device=dim.device)
    colour = (rows[:, None] // BLOCK_PX + columns // BLOCK_PX) % 2
    weights = torch.stack([dim * (colour == side) for side in (0, 1)]).flatten(1).T
    fits = torch.cat([y.flatten(1) @ weights for y in strips])
    level = fits.mean(0)
    first, second = (fits / level - 1).T
    spread = precise((first * first).mean().sqrt() * (second * second).mean().sqrt())
    agreement = (precise((first * second).mean()) / spread - 2 / math.sqrt(frames)).clamp(min=0)
    seen = (spread > 0) & (level.min() > 0)  # without light there is no change of it to see
    trust = 2 * agreement / (1 + agreement)
    gains = torch.where(seen, 1 + trust * 0.5 * (first + second), 1.0)
    return gains.clamp(min=1e-3)[:, None, None]


def _median(frames: Tensor) -> Tensor:
    """(H, W), the lower median of frames (T, H, W)."""
    middle = (len(frames) - 1) // 2
    if frames.device.type == "cpu":  # numpy selects, in a quarter of the time that torch takes to sort
        return torch.as_tensor(np.partition(frames.numpy(), middle, 0)[middle])
    return frames.median(0).values


def _offsets(strips: Sequence[Tensor], step: int) -> Iterator[int]:
    """Where in each strip the frames start that are a multiple of the step in all of them."""
    before = 0
    for y in strips:
        yield -before % step
        before += len(y)
