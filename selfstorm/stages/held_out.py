"""Choose the number of iterations of stage A by held-out prediction.

Frames are dealt into two halves, in blocks longer than an emitter shines. The density of each half, after each number
of iterations, predicts the covariances of the other half. Iterations that sharpen structure improve the prediction,
those that fit noise spoil it. Measurements: docs/decisions/0019.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.compute.acceleration import in_batches
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.physics.operators import Grid, Operator
from selfstorm.stages.covariances import Sums, statistics_of, whitened
from selfstorm.stages.density import Iterate, continue_from, flat_start, shifted_data

COUNTS = (5, 8, 12, 20, 30, 45, 60, 80)  # iterations at which the halves are compared, below the fixed number
TILE_PX = 4  # gains of neighbouring tiles are independent: a PSF is no wider
# The fewest iterations are taken whose prediction is worse than the best by no more than this: standard errors of the
# difference, or a share of the best gain, which alone counts in fields so large that no difference is by chance.
TOLERATED_SE, TOLERATED_SHARE = 1.0, 2e-4
# A number in use is kept if it is the next to that, and worse than the best by no more than twice as much.
KEPT = 2.0
MIN_PREDICTION_Z = 5.0
MAX_HELD_OUT_PX = 96  # along a side: a part of a field says as much, and two of them take no more memory than the whole
TINY = 1e-12

Halves = tuple[Sums, Sums]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The verdict of held-out frames.

    Attributes:
        iterations: The number to use.
        ceiling: The largest number that was allowed.
        prediction_z: Standard errors by which each half predicts the other, on average; 0 where only noise is shared.
        gains: By number of iterations, how much better than nothing the halves predict each other, in squared standard
            errors summed over the field.
    """

    iterations: int
    ceiling: int
    prediction_z: float
    gains: dict[int, float]

    @property
    def confirmed(self) -> bool:
        """True where the halves predict each other better than chance."""
        return self.prediction_z >= MIN_PREDICTION_Z

    @property
    def limited(self) -> bool:
        """True where more iterations were allowed but would fit noise."""
        return self.iterations < self.ceiling


def choose_iterations(
    operator: Operator,
    halves: Halves,
    mean: Tensor,
    ceiling: int,
    carried: int | None = None,
    graphs: Graphs | None = None,
) -> HeldOut:
    """Choose the iterations with which two halves best predict each other.

    Args:
        operator: Density to covariances.
        halves: Sums over frames that share none, in photons squared.
        mean: (H, W) photons.
        ceiling: The largest number allowed.
        carried: The number in use, kept unless another predicts clearly better.
        graphs: CUDA graphs of the operator, in which to record the iterations; None to run them directly.
    """
    counts = [*(count for count in COUNTS if count < ceiling), ceiling]
    tiles: dict[int, Tensor] = {}
    gains: dict[int, float] = {}
    best, best_z = counts[0], 0.0
    predictions = _predictions(operator, halves, mean, counts, graphs)
    for count, (total, spread, of_tiles) in zip(counts, predictions, strict=False):
        tiles[count], gains[count] = of_tiles, total
        if count != best and not total > gains[best]:
            break  # past the best: more iterations predict worse and worse, or the iteration diverges (NaN)
        best, best_z = count, spread
    tried = list(gains)
    chosen = next(number for number, count in enumerate(tried) if _loss(tiles, best, count) <= 1)
    if carried in gains and abs(tried.index(carried) - chosen) <= 1 and _loss(tiles, best, carried) <= KEPT:
        chosen = tried.index(carried)
    return HeldOut(tried[chosen], ceiling, best_z, gains)


def most_significant_part(covariance: Tensor, side_px: int) -> tuple[slice, slice]:
    """Return the part of a field with the most significant covariance.

    Args:
        covariance: (lags, H, W).
        side_px: longest side of the part.

    Returns:
        Slices of rows and of columns.
    """
    total = covariance.sum(0).clamp(min=0)
    height, width = (min(pixels, side_px) for pixels in total.shape)
    step = max(height // 2, 1), max(width // 2, 1)
    parts = F.avg_pool2d(total[None, None], (height, width), step)[0, 0]
    row, column = divmod(int(parts.argmax()), parts.shape[1])
    top, left = row * step[0], column * step[1]
    return slice(top, top + height), slice(left, left + width)


def grid_of_part(grid: Grid) -> Grid:
    """Return the grid of the part that held-out frames are compared in."""
    height, width = (min(pixels, MAX_HELD_OUT_PX) for pixels in (grid.height, grid.width))
    return Grid(height, width, grid.scale, grid.pixel_nm)


def _loss(tiles: dict[int, Tensor], best: int, count: int) -> float:
    """Compute the loss of a number of iterations against the best one.

    The loss is in units of the loss that is tolerated.
    """
    difference = tiles[best] - tiles[count]
    mean, sd = float(difference.mean()), float(difference.std()) if len(difference) > 1 else 0.0
    tolerated = max(TOLERATED_SE * sd / math.sqrt(len(difference)), TOLERATED_SHARE * float(tiles[best].mean()))
    return mean / max(tolerated, TINY)


def _predictions(
    operator: Operator, halves: Halves, mean: Tensor, counts: Sequence[int], graphs: Graphs | None
) -> Iterator[tuple[float, float, Tensor]]:
    """Predict each half of the frames by the other, by number of iterations.

    A CPU computes a prediction when it is asked for, a graphics card all of them: most of their time would be launches,
    and every look at one a wait.

    Yields:
        For each number of iterations: the gain over no prediction, summed over the field; the z-score of the
        prediction; and the (tiles,) mean gain of each tile, on the host.
    """
    one, other = halves

    def predicted(mean: Tensor, *maps: Tensor) -> Tensor:
        return torch.stack(list(_predicted(operator, (one.of(maps[:3]), other.of(maps[3:])), mean, counts)))

    every: Iterable[Tensor] = _predicted(operator, halves, mean, counts)
    if in_batches(mean.device):
        inputs = mean, *one.maps, *other.maps
        frames = [(half.frames, half.freedom) for half in halves]
        name = "held out", *counts, *frames
        every = (predicted(*inputs) if graphs is None else graphs.run(name, predicted, *inputs)).cpu()
    for found in every:
        yield float(found[0]), float(found[1]), found[2:]


def _predicted(operator: Operator, halves: Halves, mean: Tensor, counts: Sequence[int]) -> Iterator[Tensor]:
    """Iterate, comparing with the other half after each of some numbers.

    With the prediction s of a covariance c of variance v, its brightness k = sum(s c / v) / sum(s s / v) fitted, the
    gain is (c^2 - (c - k s)^2) / v, and sum(s c / v) / sqrt(sum(s s / v)) has a variance of 1 where c is noise.

    Args:
        operator: density to covariances.
        halves: sums over frames that share none, in photons squared.
        mean: (H, W) photons.
        counts: numbers of iterations, rising.

    Yields:
        (2 + tiles,): gain over the field, z-score, mean gain of each tile.
    """
    memory = whitened(halves[0] + halves[1])[3]
    statistics = [statistics_of(half, mean, memory) for half in halves]
    data, offset = (torch.stack(parts) for parts in zip(*map(shifted_data, statistics), strict=True))
    others = [whitened(half, memory) for half in halves[::-1]]
    target = torch.stack([covariance for covariance, *_ in others])
    weight = torch.stack([inside / variance.clamp(min=TINY) for _, variance, inside, _ in others])
    state = Iterate.first(torch.stack([flat_start(operator, one) for one in statistics]))
    for count in counts:
        state = continue_from(state, operator, data, offset, operator.norm, count - state.number)
        seen = operator.forward(state.m)
        shared, power = (each.sum((1, 2, 3), keepdim=True) for each in (weight * seen * target, weight * seen * seen))
        brightness = (shared / power.clamp(min=TINY)).clamp(min=0)
        gain = (weight * brightness * seen * (2 * target - brightness * seen)).sum((0, 1)) / 2
        z = (shared / power.clamp(min=TINY).sqrt()).sum() / math.sqrt(2)
        tiles = F.avg_pool2d(gain[None, None], TILE_PX, ceil_mode=True, count_include_pad=False)
        yield torch.cat([gain.sum()[None], z[None], tiles.flatten()])
