"""What statistics of the past are good for now: how far back, and whether moved along with the sample.

Where nothing moves, statistics over many windows make a better density than one window's; where the sample moves they
blur it, unless they are moved along. Which of these holds is read from the data: those statistics serve that predict
the newest block of frames best from the blocks before it (docs/decisions/0008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from selfstorm.stages.covariances import TINY, Sums, contrast, noise_floor, whitened
from selfstorm.stream.motion import Block, align_and_sum, velocities

SPANS = (1, 2, 3, 4, 6, 8, 12)
LEAST_BLOCKS = 4  # to find velocities in all but the newest, and judge them
EVERYTHING = 1_000
# What moves must predict better than what stands still by this much of a correlation: its velocities are fitted.
CLEARLY = 0.002
# Pixels do not see what local velocities are wrong by as well as the picture shows it: of spans that predict within
# this of the best, the shortest. A drift is known well enough.
NEARLY = {"rigid": 0.0, "local": 0.01}

Motion = Literal["still", "rigid", "local"]


@dataclass(frozen=True)
class AveragingPlan:
    """How memories are put together. blocks: how many. velocity: (2, H, W) pixels a frame, None where nothing moves."""

    motion: Motion
    blocks: int
    velocity: Tensor | None = None


def choose_averaging_plan(blocks: Sequence[Block]) -> AveragingPlan:
    """What predicts the newest block best from those before it, oldest first; all, while too few to tell.

    Velocities are found without the newest block for this, so that it does not speak for itself.
    """
    if len(blocks) < LEAST_BLOCKS:
        return AveragingPlan("still", EVERYTHING)
    *earlier, newest = blocks
    found = velocities(earlier)
    scores = _scores(newest, earlier, None)
    plan, best = AveragingPlan("still", max(scores, key=lambda span: scores[span])), max(scores.values())
    kinds: tuple[tuple[Motion, Tensor], ...] = ("rigid", found.rigid), ("local", found.local)
    for motion, velocity in kinds:
        scores = _scores(newest, earlier, velocity)
        top = max(scores.values())
        if top > best + CLEARLY:
            plan, best = (
                AveragingPlan(motion, min(span for span in scores if scores[span] >= top - NEARLY[motion])),
                top,
            )
    if plan.motion == "still":
        return plan
    found = velocities(blocks)
    return AveragingPlan(plan.motion, plan.blocks, found.rigid if plan.motion == "rigid" else found.local)


def _scores(newest: Block, earlier: Sequence[Block], velocity: Tensor | None) -> dict[int, float]:
    """How well the nearest blocks before it foretell the newest one, for each number of them that may be used."""
    scores: dict[int, Tensor] = {}
    total: Sums | None = None
    for span, block in enumerate(reversed(earlier), 1):
        sums = align_and_sum([block], velocity, newest.middle)
        total = sums if total is None else total + sums
        if span == len(earlier):
            scores[EVERYTHING] = predictive_correlation(newest.sums, total)
        elif span in SPANS:
            scores[span] = predictive_correlation(newest.sums, total)
    return dict(zip(scores, torch.stack(list(scores.values())).tolist(), strict=True))


def predictive_correlation(new: Sums, earlier: Sums) -> Tensor:
    """A scalar: correlation of new covariances with earlier ones, in a measure whose noise is the same everywhere."""
    memory, floor = whitened(earlier)[3], noise_floor(new)
    a, b = (contrast(sums, memory, floor) for sums in (new, earlier))
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt().clamp(min=TINY)
