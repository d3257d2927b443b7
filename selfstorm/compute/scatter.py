"""Sums of values at places, in an order that does not matter.

A graphics card adds from many threads in whatever order they arrive, and sums of floating-point numbers depend on the
order: the same window would make another picture. Whole numbers do not, so there values are added as multiples of a
small unit. A CPU adds in order.
"""

from __future__ import annotations

import torch
from torch import Tensor

ORDERED_DEVICES = ("cpu", "mps")  # MPS has no sums of 64-bit numbers at places
UNITS_PER_ONE = 2.0**24  # as fine as float32 is at 1; 64 bits hold sums of up to 2^39


def scatter_sum(size: int, places: Tensor, values: Tensor, *, ordered: bool | None = None) -> Tensor:
    """Add up values at their places.

    Args:
        size: numbers of the result.
        places: (N,) index of each value.
        values: (N,) float32, below 2^39 together.
        ordered: whether the device adds in order; None: by its kind.

    Returns:
        (size,), the same for any order of the values where the device has none.
    """
    if values.device.type in ORDERED_DEVICES if ordered is None else ordered:
        return values.new_zeros(size).scatter_add_(0, places, values)
    units = (values.double() * UNITS_PER_ONE).round_().long()
    total = torch.zeros(size, dtype=torch.long, device=values.device).scatter_add_(0, places, units)
    return total.double().div_(UNITS_PER_ONE).to(values.dtype)
