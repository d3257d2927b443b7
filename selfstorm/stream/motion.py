"""Estimate the motion of a sample, and move covariances along with it.

Motion is estimated from the covariances of successive blocks of frames.

Both are done on the camera's pixels: a covariance is as sharp as the square of the PSF, which the pixels still sample.
So a block costs one interpolation, and stage A uses one set of statistics however many blocks contribute to it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.compute.acceleration import in_batches
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.compute.device import precise
from selfstorm.physics.operators import Grid
from selfstorm.stages.covariances import Sums, contrast, covariances_without_memory, noise_floor, whitened

MAX_BLOCKS = 8  # that velocities are found in
MAX_MOTION_PX = 0.3125  # from one block to the next
STEPS = 11
BLUR_PX = 0.5
EDGE_PX = 8  # more than anything moves within the blocks
# Neighbours move together: votes are pooled and blurred over so many pixels.
POOL_PX = 4
POOL_SIGMA_PX = 5.0
MAX_BATCH_BYTES = 2**28  # of spectra, of the velocities that a graphics card tries at once
VOTE_SHARPNESS = 6.0  # of the softmax over candidates

Result = TypeVar("Result", bound="Tensor | tuple[Tensor, ...]")


@dataclass(frozen=True, eq=False)
class Block:
    """Sums over consecutive frames.

    Attributes:
        first: number of the first.
        middle: mean of their numbers.
        sums: over them.
        fingerprints: fingerprints of the raw frames, equal where a replay repeats them.
    """

    first: int
    middle: float
    sums: Sums
    fingerprints: frozenset[int] = frozenset()


def of_blocks(
    name: Hashable, function: Callable[..., Result], blocks: Sequence[Block], graphs: Graphs | None, *inputs: Tensor
) -> Result:
    """Compute a function of blocks, on a graphics card as one graph.

    Args:
        name: of the function and of all else that its result depends on.
        function: of blocks and of the inputs.
        blocks: the same in number, frames and distances as those of other calls, where a graph is to serve again.
        graphs: CUDA graphs; None for none.
        inputs: tensors beside the blocks'.
    """
    last = blocks[-1].middle
    kept = [(block.sums.frames, block.sums.freedom, last - block.middle) for block in blocks]
    maps = [each for block in blocks for each in block.sums.maps]

    def of_maps(*tensors: Tensor) -> Result:
        of_each = zip(blocks, *(tensors[part : len(maps) : 3] for part in range(3)), strict=True)
        return function([replace(block, sums=block.sums.of(given)) for block, *given in of_each], *tensors[len(maps) :])

    if graphs is None:
        return of_maps(*maps, *inputs)
    return graphs.run((name, *kept), of_maps, *maps, *inputs)


@dataclass(frozen=True)
class Velocities:
    """Velocities (2, H, W), along y and x, in camera pixels a frame.

    Attributes:
        rigid: The same everywhere.
        local: Different in each part of the field.
    """

    rigid: Tensor
    local: Tensor


def displaced(maps: Tensor, by: Tensor, mode: str = "bicubic") -> Tensor:
    """Move maps (C, H, W) by a displacement field (2, H, W) in pixels (y, x)."""
    height, width = maps.shape[1:]
    y, x = (torch.arange(n, device=by.device, dtype=by.dtype) for n in (height, width))
    at = torch.stack([(2 * (x - by[1]) + 1) / width - 1, (2 * (y[:, None] - by[0]) + 1) / height - 1], -1)
    return F.grid_sample(maps[None], at[None], mode=mode, padding_mode="border", align_corners=False)[0]


def moved(sums: Sums, by: Tensor) -> Sums:
    """Move sums by a displacement field (2, H, W) in pixels (y, x)."""
    maps = displaced(torch.cat([sums.now, sums.following, sums.power[None]]), by)
    now, following, power = maps.split([len(sums.now), len(sums.following), 1])
    # Cubic interpolation overshoots beside bright pixels; a pixel without noise would weigh infinitely.
    return Sums(sums.frames, sums.freedom, now, following, power[0].maximum(sums.power.min()))


def align_and_sum(blocks: Sequence[Block], velocity: Tensor | None, number: float) -> Sums:
    """Add up blocks, each moved to where the sample was at a frame's time.

    Args:
        blocks: at least one.
        velocity: (2, H, W) pixels a frame; None where nothing moves.
        number: number of the frame.
    """
    parts = [b.sums if velocity is None else moved(b.sums, velocity * (number - b.middle)) for b in blocks]
    return reduce(add, parts)


def velocities(blocks: Sequence[Block], graphs: Graphs | None = None) -> Velocities:
    """Estimate velocities by voting among 121 candidates.

    Rigid: at this velocity the blocks, moved to the newest one's time, correlate best away from the edges. Local: the
    same around each pixel, of the older blocks with the two newest.

    Args:
        blocks: oldest first, at least two.
        graphs: CUDA graphs; None for none.
    """
    newest = blocks[-1].middle
    step = newest - blocks[-2].middle
    blocks = [block for block in blocks[-MAX_BLOCKS:] if newest - block.middle < (MAX_BLOCKS + 1) * step]
    ages = blocks[0].sums.power.new_tensor([newest - block.middle for block in blocks])
    return Velocities(*of_blocks("velocities", _velocities, blocks, graphs, ages))


def _velocities(blocks: Sequence[Block], ages: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate velocities, rigid and local.

    Args:
        blocks: oldest first, at least two.
        ages: (blocks,) frames from each to the newest.
    """
    newest = blocks[-1].middle
    step = newest - blocks[-2].middle
    memory = whitened(align_and_sum(blocks, None, newest))[3]
    maps = torch.stack([_contrast(block.sums, memory) for block in blocks])
    height, width = maps.shape[1:]
    fy = torch.fft.fftfreq(height + 2 * EDGE_PX, device=maps.device)[:, None]
    fx = torch.fft.rfftfreq(width + 2 * EDGE_PX, device=maps.device)
    blur = torch.exp(-2 * (torch.pi * BLUR_PX) ** 2 * (fy**2 + fx**2))
    spectra = torch.fft.rfft2(F.pad(maps[:, None], (EDGE_PX,) * 4, mode="replicate")[:, 0]) * blur
    candidates = torch.linspace(-MAX_MOTION_PX, MAX_MOTION_PX, STEPS, device=maps.device) / step
    along_y, along_x = (
        torch.exp(-2j * torch.pi * candidates[:, None, None, None] * ages[:, None, None] * f) for f in (fy, fx)
    )
    inner_y, inner_x = (slice(n // 10, n - n // 10) for n in (height, width))
    rows, columns = _candidates_together(spectra)
    agreement, votes = [], []
    for turns_y in along_y.split(rows):
        turned = (spectra * turns_y)[:, None]
        for turns_x in along_x.split(columns):
            placed = torch.fft.irfft2(turned * turns_x, s=(height + 2 * EDGE_PX, width + 2 * EDGE_PX)).flatten(0, 1)
            placed = placed[..., EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]
            inner = placed[..., inner_y, inner_x]
            agreement.append((inner.sum(1).square() / len(blocks) - inner.square().sum(1)).sum((1, 2)))
            like, older = placed[:, -2:].mean(1, keepdim=True), placed[:, :-1]
            vote = (like * older - 0.5 * older**2).sum(1)
            votes.append(F.avg_pool2d(vote[:, None], POOL_PX, ceil_mode=True, count_include_pad=False)[:, 0])
    peak = _peak(torch.cat(agreement).view(STEPS, STEPS), candidates)
    rigid = peak[:, None, None].expand(2, height, width)
    return rigid, _local(torch.cat(votes), candidates, (height, width))


def _contrast(sums: Sums, memory: Tensor) -> Tensor:
    return contrast(covariances_without_memory(sums, memory), noise_floor(whitened(sums)[1]))


def _candidates_together(spectra: Tensor) -> tuple[int, int]:
    """Return the number of velocities along y and along x in one batch."""
    if not in_batches(spectra.device):
        return 1, 1
    count = MAX_BATCH_BYTES // (spectra.numel() * spectra.element_size())
    return max(1, min(count // STEPS, STEPS)), max(1, min(count, STEPS))


def _peak(values: Tensor, candidates: Tensor) -> Tensor:
    """Locate the largest of (steps, steps) values, as (y, x).

    Between candidates it is interpolated by a parabola along each axis.
    """
    top = values.flatten().argmax(keepdim=True)
    at = torch.cat([top // STEPS, top % STEPS])[:, None]
    values, steps = precise(values), precise(candidates)
    lines = torch.cat([values.index_select(1, at[1]).T, values.index_select(0, at[0])])
    left, middle, right = (lines.gather(1, (at + aside).clamp(0, STEPS - 1)) for aside in (-1, 0, 1))
    curvature = left - 2 * middle + right
    inner = (at > 0) & (at < STEPS - 1) & (curvature < 0)
    between = torch.where(inner, 0.5 * (left - right) / curvature, 0.0)
    return (steps[at] + between * (steps[1] - steps[0]))[:, 0].to(candidates.dtype)


def _local(votes: Tensor, candidates: Tensor, field: tuple[int, int]) -> Tensor:
    """Compute local velocities (2, H, W) from votes.

    Args:
        votes: (steps^2, rows, columns), of 4 x 4 pixels each.
        candidates: (steps,) velocities along one axis.
        field: (H, W).
    """
    sigma = POOL_SIGMA_PX / POOL_PX
    reach = round(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=votes.device) / sigma) ** 2)
    padded = F.pad(votes[:, None], (reach,) * 4)
    votes = F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[:, 0]
    spread = votes.std(0).clamp(min=1e-20)
    weights = torch.softmax(VOTE_SHARPNESS * (votes - votes.max(0).values) / spread, 0).view(
        STEPS, STEPS, *votes.shape[1:]
    )
    field_yx = torch.stack([torch.tensordot(candidates, weights.sum(axis), 1) for axis in (1, 0)])
    return F.interpolate(field_yx[None], size=field, mode="bilinear", align_corners=False)[0]


def displaced_map(m: Tensor, by: Tensor | None, grid: Grid) -> Tensor:
    """Move a map (rows, columns) of the padded grid.

    Args:
        m: the map, >= 0.
        by: (2, H, W) camera pixels; None for no motion.
        grid: of the map.
    """
    if by is None:
        return m
    cells = F.interpolate(by[None] * grid.scale, scale_factor=grid.scale, mode="bilinear", align_corners=False)
    cells = F.pad(cells, (grid.pad_px * grid.scale,) * 4, mode="replicate")
    return displaced(m[None], cells[0], mode="bilinear")[0]
