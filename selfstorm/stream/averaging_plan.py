"""Choose the averaging span and the motion by one-step prediction.

Where nothing moves, statistics over many windows make a better density than one window's; where the sample moves they
blur it, unless they are moved along. The data decide: those statistics are used that predict the newest block of
frames best from the blocks before it (docs/decisions/0008).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.stages.covariances import TINY, Sums, contrast, covariances_without_memory, noise_floor, whitened
from selfstorm.stream.motion import Block, Velocities, align_and_sum, of_blocks, velocities

SPANS = (1, 2, 3, 4, 6, 8, 12)
MIN_BLOCKS = 4  # to find velocities in all but the newest, and score them on the newest
ALL_BLOCKS = 1_000
# Correlation by which a motion must predict better than none: its velocities are fitted.
MIN_GAIN = 0.002
# Errors of local velocities blur the picture more than pixels show: of the spans that predict within this of the best,
# the shortest is used. A drift is known well enough.
SPAN_TOLERANCE = {"rigid": 0.0, "local": 0.01}

Motion = Literal["still", "rigid", "local"]


@dataclass(frozen=True)
class AveragingPlan:
    """Motion and number of blocks with which the history is averaged.

    Attributes:
        motion: 'still', 'rigid' or 'local'.
        blocks: number of blocks that are added up.
        velocity: (2, H, W) pixels a frame; None where nothing moves.
    """

    motion: Motion
    blocks: int
    velocity: Tensor | None = None


def choose_averaging_plan(blocks: Sequence[Block], graphs: Graphs | None = None) -> AveragingPlan:
    """Choose the plan that best predicts the newest block from those before.

    For this choice, velocities are found without the newest block, so that it is not predicted from itself.

    Args:
        blocks: oldest first; with fewer than 4, all of them are averaged as they are.
        graphs: CUDA graphs; None for none.
    """
    if len(blocks) < MIN_BLOCKS:
        return AveragingPlan("still", ALL_BLOCKS)
    (_, scores), *moving = _scores(blocks, velocities(blocks[:-1], graphs), graphs)
    plan, best = AveragingPlan("still", max(scores, key=lambda span: scores[span])), max(scores.values())
    for motion, scores in moving:
        top = max(scores.values())
        if top > best + MIN_GAIN:
            plan, best = (
                AveragingPlan(motion, min(span for span in scores if scores[span] >= top - SPAN_TOLERANCE[motion])),
                top,
            )
    if plan.motion == "still":
        return plan
    found = velocities(blocks, graphs)
    return AveragingPlan(plan.motion, plan.blocks, found.rigid if plan.motion == "rigid" else found.local)


def _scores(blocks: Sequence[Block], found: Velocities, graphs: Graphs | None) -> list[tuple[Motion, dict[int, float]]]:
    """Compute how well the blocks before predict the newest one.

    Returns:
        For each kind of motion, by number of blocks before the newest, the correlation of their average with it.
    """
    every = len(blocks) - 1
    counts = [number for number in range(1, every + 1) if number == every or number in SPANS]

    def correlations(blocks: Sequence[Block], rigid: Tensor, local: Tensor) -> Tensor:
        *earlier, newest = blocks
        floor = noise_floor(whitened(newest.sums)[1])
        return torch.stack([torch.stack(list(of(v, earlier, newest, floor))) for v in (None, rigid, local)])

    def of(velocity: Tensor | None, earlier: Sequence[Block], newest: Block, floor: Tensor) -> Iterator[Tensor]:
        total = None
        for number, block in enumerate(reversed(earlier), 1):
            sums = align_and_sum([block], velocity, newest.middle)
            total = sums if total is None else total + sums
            if number in counts:
                yield predictive_correlation(newest.sums, total, floor)

    rows = of_blocks("scores", correlations, blocks, graphs, found.rigid, found.local).tolist()  # the host waits once
    spans = [ALL_BLOCKS if number == every else number for number in counts]
    kinds: tuple[Motion, ...] = "still", "rigid", "local"
    return [(kind, dict(zip(spans, row, strict=True))) for kind, row in zip(kinds, rows, strict=True)]


def predictive_correlation(new: Sums, earlier: Sums, floor: Tensor) -> Tensor:
    """Correlate new covariances with earlier ones; returns a scalar.

    Both are whitened first: their noise is the same everywhere.

    Args:
        new: to predict.
        earlier: to predict from.
        floor: noise of the new ones (`noise_floor`).
    """
    known, _, _, memory = whitened(earlier)
    a, b = (contrast(each, floor) for each in (covariances_without_memory(new, memory), known))
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt().clamp(min=TINY)
