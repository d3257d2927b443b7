"""Board: arrays of a whole field that its tiles read and write.

Commands to tiles are numbers alone; everything larger is on the board, in this process or in memory that several share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from selfstorm.frames import Array

Allocate = Callable[[str, tuple[int, ...], np.dtype[Any]], Array]


def _on_heap(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return np.zeros(shape, dtype)


class Board:
    """Named arrays, allocated when they are first asked for.

    Args:
        allocate: returns an array of zeros of a name, shape and dtype.
    """

    def __init__(self, allocate: Allocate = _on_heap) -> None:
        self._allocate = allocate
        self._arrays: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __setitem__(self, name: str, array: Array) -> None:
        self._arrays[name] = array

    def get(self, name: str) -> Array | None:
        """Return an array; None before it was asked for."""
        return self._arrays.get(name)

    def reserve(self, name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        """Return the array of a name, new where its shape or dtype differs."""
        dtype = np.dtype(dtype)
        known = self._arrays.get(name)
        if known is None or known.shape != shape or known.dtype != dtype:
            known = self._arrays[name] = self._allocate(name, shape, dtype)
        return known

    def put(self, name: str, values: Any) -> None:
        """Write an array or a tensor to the board."""
        values = np.asarray(values.cpu() if hasattr(values, "cpu") else values)
        self.reserve(name, values.shape, values.dtype)[...] = values
