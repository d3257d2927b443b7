"""Sums of values at places, in an order that does not matter.

A graphics card adds from many threads in whatever order they arrive, and sums of floating-point numbers depend on the
order: the same window would make another picture. Whole numbers do not, so there values are added as multiples of a
small unit. A CPU adds in order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp

ORDERED_DEVICES = ("cpu", "mps")  # MPS has no sums of 64-bit numbers at places
UNITS_PER_ONE = 2.0**24  # as fine as float32 is at 1; 64 bits hold sums of up to 2^39


def add_at(out: Tensor, places: Tensor, values: Tensor, *, ordered: bool | None = None) -> Tensor:
    """Add values to the numbers at their places.

    Args:
        out: (numbers,) float32; changed.
        places: (N,) index of each value.
        values: (N,) float32, below 2^39 together.
        ordered: whether the device adds in order; None: by its kind.

    Returns:
        `out`, the same for any order of the values where the device has none.
    """
    if values.device.type in ORDERED_DEVICES if ordered is None else ordered:
        return out.scatter_add_(0, places, values)
    total = torch.zeros(len(out), dtype=torch.long, device=values.device).scatter_add_(0, places, _units(values))
    return _add_units(out, total)


def units(values: Tensor) -> Tensor:
    """Round values to whole units, (N,) int64."""
    return (values.double() * UNITS_PER_ONE).round().long()


def add_units(out: Tensor, total: Tensor) -> Tensor:
    """Add units, (numbers,) int64, to float32 numbers, in place."""
    return out.add_((total.double() / UNITS_PER_ONE).float())


_units, _add_units = CompiledOp(units), CompiledOp(add_units)
