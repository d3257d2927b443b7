"""Emitters sorted into windows.

A window is a square of camera pixels: a core, and a margin wide enough for a whole spot.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp
from selfstorm.psf.canvas import CORE_PX, Canvas, Squares, square_places
from selfstorm.psf.emitters import Emitters
from selfstorm.psf.profiles import Profiles

SLOTS = 8


def tiles(frame: Tensor, y_px: Tensor, x_px: Tensor, pad_px: int, rows: int, columns: int) -> Tensor:
    """Return the number of the tile of CORE_PX pixels of each emitter: (E,)."""
    tile_y = ((y_px + pad_px) / CORE_PX).long()
    tile_x = ((x_px + pad_px) / CORE_PX).long()
    return (frame * rows + tile_y) * columns + tile_x


def first_of_tile(tile: Tensor) -> Tensor:
    """Return the number of each emitter that is the first of its tile, else 0.

    Args:
        tile: (E,) of each emitter, rising.
    """
    number = torch.arange(len(tile), device=tile.device)
    before = tile[(number - 1).clamp(min=0)]
    return torch.where(tile != before, number, 0)


def opens_window(first: Tensor) -> Tensor:
    """Return 1 for each emitter that opens a window, else 0.

    Args:
        first: (E,) number of the first emitter of its tile.
    """
    return ((torch.arange(len(first), device=first.device) - first) % SLOTS == 0).long()


def slots(first: Tensor, opened: Tensor) -> Tensor:
    """Return the slot of each emitter.

    Args:
        first: (E,) number of the first emitter of its tile.
        opened: (E,) windows opened up to it.
    """
    rank = torch.arange(len(first), device=first.device) - first
    return (opened - 1) * SLOTS + rank % SLOTS


def corners(
    owner: Tensor, rows: int, columns: int, margin: int, before: int, height: int, width: int, side: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the corners of windows and their places on a canvas.

    Args:
        owner: (windows,) tile of each window.
        rows: of tiles.
        columns: of tiles.
        margin: pixels from a tile's corner to its window's.
        before: border in front of the field, pixels.
        height: of the canvas.
        width: of the canvas.
        side: pixels of a window.

    Returns:
        First row and column from the field's corner, float32; starts and places (see Squares).
    """
    first_y = (owner // columns % rows) * CORE_PX - margin
    first_x = (owner % columns) * CORE_PX - margin
    frame = owner // (rows * columns)
    return first_y.float(), first_x.float(), *square_places(frame, first_y, first_x, before, height, width, side)


_tiles, _first_of_tile, _opens_window = CompiledOp(tiles), CompiledOp(first_of_tile), CompiledOp(opens_window)
_slots, _corners = CompiledOp(slots), CompiledOp(corners)


class PatchLayout:
    """Emitters sorted into windows of SLOTS slots.

    Values (E,) become (windows, SLOTS), with 0 in empty slots. The layout is made for the positions given; they may
    move by a pixel or two before light is cut off.
    """

    def __init__(self, canvas: Canvas, tables: Profiles, emitters: Emitters) -> None:
        rows = (canvas.field[0] + 2 * canvas.pad_px) // CORE_PX + 1
        columns = (canvas.field[1] + 2 * canvas.pad_px) // CORE_PX + 1
        tile = _tiles(emitters.frame, emitters.y_px, emitters.x_px, canvas.pad_px, rows, columns)
        tile, order = torch.sort(tile, stable=True)
        # of the emitters in a tile, every SLOTS-th opens a window; no size is asked for but that of the result
        first = _first_of_tile(tile).cummax(0).values
        opened = _opens_window(first).cumsum(0)
        self._slot = torch.empty_like(order).scatter_(0, order, _slots(first, opened))
        self.count = int(opened[-1]) if len(order) else 0
        owner = tile.new_empty(self.count).scatter_(0, opened - 1, tile)
        _, height, width = canvas.shape
        margin = canvas.pad_px + tables.halo
        self.corner_y, self.corner_x, starts, places = _corners(
            owner, rows, columns, margin, canvas.before, height, width, tables.side
        )
        self.squares = Squares(tables.side, canvas.shape, starts, places)

    def spread(self, values: Tensor) -> Tensor:
        """Distribute values (E,) over the slots: (windows, SLOTS)."""
        out = values.new_zeros(self.count * SLOTS)
        out[self._slot] = values
        return out.view(self.count, SLOTS)

    def collect(self, slots: Tensor) -> Tensor:
        """Collect the values of the slots (windows, SLOTS): (E,)."""
        return slots.flatten()[self._slot]
