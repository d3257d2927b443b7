"""Stage A, a window at once: window statistics -> emitter density, by an unrolled multiplicative network.

Each layer is m <- m * F^T((D + o)+ / (F m + o)) / F^T 1 (Richardson 1972; Lucy 1974, on covariances), with the
momentum of Biggs & Andrews (1997). Where layers stop is the regulariser: nothing tried chose their number better.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selfstorm.operators import LaggedCovariance, unseen_infinite
from selfstorm.statistics import WindowStatistics

MOST_MOMENTUM = 0.98
TINY = 1e-12
QUICK_LAYERS = 30  # from a flat start
PREVIEW_LAYERS = 8  # from the density before
WARM_FLOOR = 0.05


def cold_layers(frames: int) -> int:
    """Layers from a flat start: more data bear more of them."""
    return 40 if frames < 50 else 60 if frames < 250 else 100


def density(
    operator: LaggedCovariance, statistics: WindowStatistics, layers: int, start: Tensor | None = None
) -> Tensor:
    """Unrolled density network.

    Returns (rows, columns) on the padded SR grid, >= 0: the variance of an SR cell's photons, up to a factor.
    start: a density to go on from, strictly positive; flat when None.
    """
    inside = statistics.inside
    spread = statistics.uncertainty.sqrt()
    offset = torch.stack([s[i > 0].median() for s, i in zip(spread, inside, strict=True)])[:, None, None]
    offset = offset.clamp(min=TINY)
    data = (statistics.covariance + offset).clamp(min=0) * inside
    norm = unseen_infinite(operator.adjoint(inside))
    m = _flat(operator, statistics, norm) if start is None else start
    before, step, momentum = m, torch.zeros_like(m), 0.0
    for layer in range(layers):
        z = (m + momentum * (m - before)).clamp(min=TINY) if layer > 1 else m
        new = z * operator.adjoint(data / (operator.forward(z) + offset).clamp(min=TINY)).clamp(min=0) / norm
        gradient = new - z
        power = float((step * step).sum())
        momentum = min(max(float((gradient * step).sum()) / (power + 1e-20), 0.0), MOST_MOMENTUM)
        step, before, m = gradient, m, new
    return m


def warmed(known: Tensor | None) -> Tensor | None:
    """A density to go on from: the one before, no cell so dark that layers could not light it again."""
    return None if known is None else known + WARM_FLOOR * known.mean()


def _flat(operator: LaggedCovariance, statistics: WindowStatistics, like: Tensor) -> Tensor:
    ones = torch.ones_like(like)
    level = (statistics.covariance.clamp(min=0)).sum() / (operator.forward(ones) * statistics.inside).sum()
    return ones * level.clamp(min=TINY)
