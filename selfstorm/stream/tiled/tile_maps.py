"""Maps that tiles keep between commands, each kind in one piece of memory.

One by one they would lie on the heap between the temporaries of the iterations, whose gaps fit nothing else: some 4 %
of the memory of a window of 1024 x 1024 pixels at scale 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor


class TileMaps:
    """Named maps of some tiles, allocated when a name is first used.

    Args:
        shapes: (rows, columns) of each tile's maps.
        device: of the maps.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], device: torch.device) -> None:
        self._shapes, self._device = shapes, device
        self._ends = list(accumulate(map(math.prod, shapes)))
        self._pieces: dict[str, Tensor] = {}

    def of(self, name: str, tile: int) -> Tensor:
        """Return the map of a tile, of unknown content when its name is new."""
        if name not in self._pieces:
            self._pieces[name] = torch.empty(self._ends[-1], device=self._device)
        shape = self._shapes[tile]
        return self._pieces[name][self._ends[tile] - math.prod(shape) : self._ends[tile]].view(shape)

    def swap(self, one: str, other: str) -> None:
        """Exchange two names."""
        self._pieces[one], self._pieces[other] = self._pieces[other], self._pieces[one]

    def free(self, *names: str) -> None:
        """Free the maps of some names, of all where none is given."""
        for name in names or tuple(self._pieces):
            self._pieces.pop(name, None)
