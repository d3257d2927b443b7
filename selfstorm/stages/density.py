"""Stage A, a window at once: window statistics -> emitter density, by multiplicative iterations.

Each iteration is m <- m * F^T((D + o)+ / (F m + o)) / F^T 1 (Richardson 1972; Lucy 1974, on covariances), with the
momentum of Biggs & Andrews (1997). Where iterations stop is the regulariser: held_out.py chooses
their number.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.compute.device import precise
from selfstorm.physics.multiplicative import back_projected_ratio
from selfstorm.physics.operators import LAGS, Operator
from selfstorm.stages.covariances import WindowStatistics, window_statistics, within
from selfstorm.stages.stage import Batch, Run, Sample, Stage

MAX_MOMENTUM = 0.98
TINY = 1e-12
QUICK_ITERATIONS = 30  # from a flat start
PREVIEW_ITERATIONS = 8  # from the density before
WARM_FLOOR = 0.05
# Maps and frames alive at the worst moment of an iteration, beside what the adjoint makes.
MAPS, FRAMES = 5, 6 * len(LAGS)


def cold_iterations(frames: int) -> int:
    """Iterations from a flat start: more data bear more of them."""
    return 40 if frames < 50 else 60 if frames < 250 else 100


def density(
    operator: Operator,
    statistics: WindowStatistics,
    iterations: int,
    start: Tensor | None = None,
    graphs: Graphs | None = None,
) -> Tensor:
    """Deconvolve a window's covariances into the density of fluctuating emitters.

    Returns (rows, columns) on the padded SR grid, >= 0: the variance of an SR cell's photons, up to a factor.
    start: a density to go on from, strictly positive; flat when None. graphs: to run the iterations as one of them.
    """
    data, offset = shifted_data(statistics)
    norm = operator.norm
    m = flat_start(operator, statistics) if start is None else start

    def iterated(m: Tensor, data: Tensor, offset: Tensor, norm: Tensor) -> Tensor:
        return iterate(operator, m, data, offset, norm, iterations)

    if graphs is None:
        return iterated(m, data, offset, norm)
    return graphs.run(("density", iterations), iterated, m, data, offset, norm)


def iterate(operator: Operator, m: Tensor, data: Tensor, offset: Tensor, norm: Tensor, iterations: int) -> Tensor:
    """Run so many iterations from m, (rows, columns); returns the last, and never waits for the host.

    Args: as of `continue_from`.
    """
    return continue_from(Iterate.first(m), operator, data, offset, norm, iterations).m


class Iterate(NamedTuple):
    """State of the iterations: m, the one before it, their difference, all (..., rows, columns), and the momentum."""

    m: Tensor
    before: Tensor
    step: Tensor
    momentum: Tensor
    number: int

    @classmethod
    def first(cls, m: Tensor) -> Iterate:
        """Before the first iteration."""
        return cls(m, m, torch.zeros_like(m), precise(m.new_zeros(())), 0)


def continue_from(
    state: Iterate, operator: Operator, data: Tensor, offset: Tensor, norm: Tensor, iterations: int
) -> Iterate:
    """Run so many more iterations, without waiting for the host.

    Args:
        state: Of one density, or of a batch of them.
        operator: Density to covariances.
        data: (..., lags, H, W), the covariances with the offset added.
        offset: (..., lags, 1, 1), added to both sides.
        norm: (rows, columns), of the operator.
        iterations: How many.
    """
    m, before, step, momentum, done = state
    for number in range(done, done + iterations):
        z = _ahead(m, before, momentum) if number > 1 else m
        factor = back_projected_ratio(operator, z, data, offset, _ratio)
        before = m
        m, step, momentum = _updated(z, factor, norm, step)
    return Iterate(m, before, step, momentum, done + iterations)


def ahead(m: Tensor, before: Tensor, momentum: Tensor) -> Tensor:
    """m + momentum (m - before), (rows, columns), > 0."""
    return (m - before).mul_(momentum).add_(m).clamp_(min=TINY)


def ratio(data: Tensor, seen: Tensor, offset: Tensor) -> Tensor:
    """data / (seen + offset), (lags, H, W), written into `seen`."""
    return torch.div(data, seen.add_(offset).clamp_(min=TINY), out=seen)


def updated(z: Tensor, spread: Tensor, norm: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """m = z spread / norm, (..., rows, columns), written into `spread`; the step m - z; the next momentum.

    step: of the iteration before. The momentum of a batch is (B, 1, 1), each density's own.
    """
    m = spread.clamp_(min=0).mul_(z).div_(norm)
    gradient = m - z
    along, power = precise(_over_map(gradient * step)), precise(_over_map(step * step))
    momentum = (along / (power + 1e-20)).clamp(0.0, MAX_MOMENTUM)
    return m, gradient, momentum if z.ndim == 2 else momentum.to(z.dtype)


def _over_map(z: Tensor) -> Tensor:
    """The sum over a map; of a batch (B, 1, 1)."""
    return z.sum() if z.ndim == 2 else z.sum((-2, -1), keepdim=True)


_ahead, _ratio, _updated = CompiledOp(ahead), CompiledOp(ratio), CompiledOp(updated)


def shifted_data(statistics: WindowStatistics) -> tuple[Tensor, Tensor]:
    """(D + o)+, (lags, H, W), zero outside the field, and o, (lags, 1, 1)."""
    offset = offset_of(statistics)
    return (statistics.covariance + offset).clamp(min=0) * statistics.inside, offset


def offset_of(statistics: WindowStatistics) -> Tensor:
    """(lags, 1, 1) > 0: the median standard error of each lag's covariances, at which they weigh half."""
    spread = statistics.uncertainty.sqrt()
    medians = [within(of_lag, *lag).median() for of_lag, lag in zip(spread, LAGS, strict=True)]
    return torch.stack(medians)[:, None, None].clamp(min=TINY)


def warmed(known: Tensor | None) -> Tensor | None:
    """A density to go on from: the one before, no cell so dark that iterations could not raise it again."""
    return None if known is None else known + WARM_FLOOR * known.mean()


def flat_start(operator: Operator, statistics: WindowStatistics) -> Tensor:
    """(rows, columns) as bright as the covariances ask for."""
    ones = torch.ones_like(operator.norm)
    level = (statistics.covariance.clamp(min=0)).sum() / (operator.forward(ones) * statistics.inside).sum()
    return ones * level.clamp(min=TINY)


def _bytes(batch: Batch) -> int:
    """One field, however long the window is."""
    operator, grid = batch.covariance, batch.covariance.grid
    return MAPS * grid.map_bytes + operator.separable.adjoint_bytes + FRAMES * grid.frame_bytes


def _prepare(sample: Sample) -> Run:
    statistics = window_statistics(sample.y)
    return lambda iterations: density(sample.covariance, statistics, iterations)


DENSITY = Stage("density", _bytes, _prepare, iterates=True, per_frame=False, captured=True)
