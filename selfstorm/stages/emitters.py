"""Stage B, a frame at a time: frames and the density prior -> emitter maps, by an unrolled sparse-recovery network.

Each layer is x <- x q^1.5 / (1 + lambda_k w), q = A^T(y / (A x + b)) / A^T 1: the multiplicative step of the Poisson
likelihood, over-relaxed, with a weighted l1 penalty whose weight w is the inverse of the density (a reweighted LISTA
layer in its multiplicative form).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp
from selfstorm.physics.operators import Imaging

MAP_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Layers:
    """count layers; penalty: lambda, ramped over the first half; floor: epsilon.

    floor > 0 keeps emitters that never blink: the density does not see them.
    """

    count: int
    penalty: float
    floor: float


QUALITY = {"best": Layers(40, 0.2, 0.1), "fast": Layers(15, 0.3, 0.1)}


def emitter_maps(
    imaging: Imaging, y: Tensor, prior: Tensor, start: Tensor, background: Tensor, layers: Layers
) -> Tensor:
    """Unrolled emitter network.

    y: (T, H, W) photons, > 0. prior: (rows, columns) density with mean 1. start: (T, 1, 1) photons per cell to start
    from, flat (starting from the density overfits). background: (T, H, W) photons.
    Returns (T, rows, columns) photons per SR cell, >= 0.
    """
    weight = layers.penalty / ((prior + layers.floor) * imaging.norm)
    caught = 1 / imaging.norm
    x = start.expand(len(y), *prior.shape).clone()
    root, ramp = torch.empty_like(x), 0.0
    for k in range(layers.count):
        if ramp < 1:
            ramp = min(1.0, (k + 0.5) / (0.5 * layers.count))
            kept = (ramp * weight).add_(1).reciprocal_()
        ratio = _ratio(y, imaging.forward(x), background)
        x = _updated(x, imaging.adjoint(ratio), caught, kept, root=root)
    return x


def ratio(y: Tensor, seen: Tensor, background: Tensor) -> Tensor:
    """y / (seen + background), (T, H, W), written into `seen`."""
    return torch.div(y, seen.add_(background), out=seen).clamp_(1e-4, 1e4)


def updated(x: Tensor, spread: Tensor, caught: Tensor, kept: Tensor, root: Tensor | None = None) -> Tensor:
    """x q^1.5 kept with q = spread caught, (T, rows, columns), written into x.

    The exponent 1.5 converges faster than 1 and was never worse. root: room for a square root; `spread` is written over
    then, instead of new memory.
    """
    q = (spread * caught if root is None else spread.mul_(caught)).clamp_(min=1e-6)
    return x.mul_(q.mul_(torch.sqrt(q, out=root))).mul_(kept)


_ratio, _updated = CompiledOp(ratio), CompiledOp(updated)


def frames_together(cells: int, map_bytes: int) -> int:
    """How many frames have their float32 maps of so many cells made together, at four maps a frame."""
    return max(1, map_bytes // (cells * 4 * 4))


def batches(frames: int, like: Tensor, map_bytes: int = MAP_BYTES) -> Iterator[slice]:
    """Frames in batches whose maps, each the size of `like`, fit the cache and the memory."""
    size = frames_together(like.numel(), map_bytes)
    yield from (slice(start, start + size) for start in range(0, frames, size))
