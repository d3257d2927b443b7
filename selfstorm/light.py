"""Light that changes from frame to frame: flicker of the lamp, bleaching of the sample."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BLOCK_PX = 8


def frame_gains(y: Tensor) -> Tensor:
    """(T, 1, 1) relative brightness of every frame of y (T, H, W) photons, mean 1.

    Left in, it makes every pixel covary with every other and buries the structure. It is fitted by least squares on
    the dimmer half of the pixels against their temporal median, twice, on the two colours of a chessboard: a lamp
    moves both fits together, blinking emitters move each for itself. The mean of both is trusted as far as they
    agree beyond chance (Spearman-Brown), so a steady lamp gives ones.
    """
    frames, height, width = y.shape
    median = y.median(0).values.clamp(min=0)
    dim = (median <= median.median()).to(y.dtype) * median
    rows, columns = torch.arange(height, device=y.device), torch.arange(width, device=y.device)
    colour = (rows[:, None] // BLOCK_PX + columns // BLOCK_PX) % 2
    fits = []
    for side in (0, 1):
        weight = dim * (colour == side)
        fit = (y * weight).sum((1, 2))
        if float(fit.mean()) <= 0:  # no light to see a change of
            return torch.ones((frames, 1, 1), dtype=y.dtype, device=y.device)
        fits.append(fit / fit.mean())
    first, second = (fit - 1 for fit in fits)
    spread = float((first * first).mean().sqrt() * (second * second).mean().sqrt())
    agreement = float((first * second).mean()) / spread - 2 / math.sqrt(frames) if spread > 0 else 0.0
    trust = 2 * agreement / (1 + agreement) if agreement > 0 else 0.0
    return (1 + trust * 0.5 * (first + second)).clamp(min=1e-3)[:, None, None]
