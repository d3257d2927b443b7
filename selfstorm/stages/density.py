"""Stage A: emitter density from a window's statistics.

The density is found by multiplicative iterations, for a whole window at once. Each iteration is

    m <- m * F^T((D + o)+ / (F m + o)) / F^T 1

(Richardson 1972; Lucy 1974, on covariances), with the momentum of Biggs & Andrews (1997). The number of iterations
regularises the density; held_out.py chooses it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.compute.device import precise
from selfstorm.physics.multiplicative import back_projected_ratio
from selfstorm.physics.operators import LAGS, Grid, Operator
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
    """Return the number of iterations from a flat start.

    More frames support more iterations before these fit noise.
    """
    return 40 if frames < 50 else 60 if frames < 250 else 100


def density(
    operator: Operator,
    statistics: WindowStatistics,
    iterations: int,
    start: Tensor | None = None,
    graphs: Graphs | None = None,
) -> Tensor:
    """Deconvolve a window's covariances into the density of emitters.

    Args:
        operator: Density to covariances.
        statistics: Statistics of the window.
        iterations: Number of iterations.
        start: Density to start from, strictly positive; None for a flat one.
        graphs: CUDA graphs in which to record the iterations; None to run them directly.

    Returns:
        (rows, columns) on the padded SR grid, >= 0: the variance of an SR cell's photons, up to a factor.
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
    """Run iterations from a density m, (rows, columns); return the last one.

    The arguments are those of `continue_from`; the host is never waited for.
    """
    return continue_from(Iterate.first(m), operator, data, offset, norm, iterations).m


class Iterate(NamedTuple):
    """State of the iterations.

    Attributes:
        m: (..., rows, columns), the density.
        before: The density before it, of the same shape.
        step: Change of the density in the last iteration.
        momentum: Factor of the extrapolation, a scalar or (B, 1, 1).
        number: Iterations done so far.
    """

    m: Tensor
    before: Tensor
    step: Tensor
    momentum: Tensor
    number: int

    @classmethod
    def first(cls, m: Tensor) -> Iterate:
        """Return the state before the first iteration, from a density m."""
        return cls(m, m, torch.zeros_like(m), precise(m.new_zeros(())), 0)


def continue_from(
    state: Iterate, operator: Operator, data: Tensor, offset: Tensor, norm: Tensor, iterations: int
) -> Iterate:
    """Run more iterations without waiting for the host.

    Args:
        state: Of one density, or of a batch of them.
        operator: Density to covariances.
        data: (..., lags, H, W), the covariances with the offset added.
        offset: (..., lags, 1, 1), added to both sides.
        norm: (rows, columns), of the operator.
        iterations: Number of iterations to run.
    """
    m, before, step, momentum, done = state
    for number in range(done, done + iterations):
        z = _ahead(m, before, momentum) if number > 1 else m
        factor = back_projected_ratio(operator, z, data, offset, _ratio)
        before = m
        m, step, momentum = _updated(z, factor, norm, step)
    return Iterate(m, before, step, momentum, done + iterations)


def ahead(m: Tensor, before: Tensor, momentum: Tensor) -> Tensor:
    """Extrapolate: m + momentum (m - before), (rows, columns), > 0."""
    return (m - before).mul_(momentum).add_(m).clamp_(min=TINY)


def ratio(data: Tensor, seen: Tensor, offset: Tensor) -> Tensor:
    """Divide data by (seen + offset), (lags, H, W), written into `seen`."""
    return torch.div(data, seen.add_(offset).clamp_(min=TINY), out=seen)


def updated(z: Tensor, spread: Tensor, norm: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Update the density and its momentum.

    Args:
        z: (..., rows, columns), the extrapolated density.
        spread: Back-projected ratio of the same shape; overwritten.
        norm: (rows, columns), of the operator.
        step: Step of the iteration before.

    Returns:
        The density m = z spread / norm, the step m - z, and the next momentum. The momentum of a batch is (B, 1, 1),
        one for each density.
    """
    m = spread.clamp_(min=0).mul_(z).div_(norm)
    gradient = m - z
    along, power = precise(_over_map(gradient * step)), precise(_over_map(step * step))
    momentum = (along / (power + 1e-20)).clamp(0.0, MAX_MOMENTUM)
    return m, gradient, momentum if z.ndim == 2 else momentum.to(z.dtype)


def _over_map(z: Tensor) -> Tensor:
    """Sum over a map; (B, 1, 1) for a batch."""
    return z.sum() if z.ndim == 2 else z.sum((-2, -1), keepdim=True)


_ahead, _ratio, _updated = CompiledOp(ahead), CompiledOp(ratio), CompiledOp(updated)


def shifted_data(statistics: WindowStatistics) -> tuple[Tensor, Tensor]:
    """Return (D + o)+, (lags, H, W), zero outside, and o, (lags, 1, 1)."""
    offset = offset_of(statistics)
    return (statistics.covariance + offset).clamp(min=0) * statistics.inside, offset


def offset_of(statistics: WindowStatistics) -> Tensor:
    """Return the offset of each lag, (lags, 1, 1) > 0.

    It is the median standard error of the lag's covariances. Covariances of that size have half the weight.
    """
    spread = statistics.uncertainty.sqrt()
    medians = [within(of_lag, *lag).median() for of_lag, lag in zip(spread, LAGS, strict=True)]
    return torch.stack(medians)[:, None, None].clamp(min=TINY)


def warmed(known: Tensor | None) -> Tensor | None:
    """Return the density before with a floor, as a start for iterations.

    Without the floor, a dark cell could not become bright again: iterations are multiplicative.
    """
    return None if known is None else known + WARM_FLOOR * known.mean()


def flat_start(operator: Operator, statistics: WindowStatistics) -> Tensor:
    """Return a flat density, (rows, columns), of the covariances' brightness."""
    ones = torch.ones_like(operator.norm)
    level = (statistics.covariance.clamp(min=0)).sum() / (operator.forward(ones) * statistics.inside).sum()
    return ones * level.clamp(min=TINY)


def _bytes(batch: Batch) -> int:
    """Count the bytes of one field, whatever the length of the window."""
    operator, grid = batch.covariance, batch.covariance.grid
    return MAPS * grid.map_bytes + operator.separable.adjoint_bytes + FRAMES * grid.frame_bytes


def _iteration_bytes(grid: Grid, frames: int) -> float:
    """Count the least bytes of an iteration.

    Two densities, their step and the norm are read, a density and its step written; the covariances are read.
    """
    return 6 * grid.map_bytes + len(LAGS) * grid.frame_bytes


def _prepare(sample: Sample) -> Run:
    statistics = window_statistics(sample.y)
    return lambda iterations: density(sample.covariance, statistics, iterations)


DENSITY = Stage("density", _bytes, _prepare, iterates=True, per_frame=False, captured=True, unit_bytes=_iteration_bytes)
