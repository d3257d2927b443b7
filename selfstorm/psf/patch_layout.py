"""Emitters sorted into windows.

A window is a square of camera pixels: a core, and a margin wide enough for a whole spot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from selfstorm.compute.acceleration import in_batches
from selfstorm.compute.compiled import CompiledOp
from selfstorm.psf.canvas import CORE_PX, Canvas, Squares, square_places
from selfstorm.psf.emitters import Emitters
from selfstorm.psf.profiles import Profiles

SLOTS = 8
FAR_PX = 1e6  # corner of the windows that a layout is rounded up by
MAX_GRAPH_WINDOWS = 2048  # of more, an operation takes longer than its launch


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


def counts(opened: Tensor, tile: Tensor, beyond: int) -> Tensor:
    """Count emitters and windows in tiles before `beyond`: (2,)."""
    kept = tile < beyond
    return torch.stack([kept.sum(), (opened * kept).max()])


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
_slots, _counts, _corners = CompiledOp(slots), CompiledOp(counts), CompiledOp(corners)


@dataclass(frozen=True)
class WindowPlaces:
    """Places of windows on a canvas.

    Attributes:
        corner_y: (windows,) first row from the field's corner, float32.
        corner_x: (windows,) first column from the field's corner, float32.
        squares: the windows.
    """

    corner_y: Tensor
    corner_x: Tensor
    squares: Squares

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All that differs between as many windows on the same canvas."""
        return self.corner_y, self.corner_x, self.squares.starts, self.squares.places

    def of(self, corner_y: Tensor, corner_x: Tensor, starts: Tensor, places: Tensor) -> WindowPlaces:
        """Return the places of as many other windows on the same canvas."""
        return WindowPlaces(corner_y, corner_x, replace(self.squares, starts=starts, places=places))


class PatchLayout:
    """Emitters sorted into windows of SLOTS slots.

    Values (E,) become (windows, SLOTS), with 0 in empty slots. The layout is made for the positions given; they may
    move by a pixel or two before light is cut off.

    Args:
        canvas: of the windows.
        tables: profiles of the PSF in a window.
        emitters: to lay out.
        kept: (E,) bool, true for the first emitters and for no others, which alone are laid out; None for all.
    """

    def __init__(self, canvas: Canvas, tables: Profiles, emitters: Emitters, kept: Tensor | None = None) -> None:
        rows = (canvas.field[0] + 2 * canvas.pad_px) // CORE_PX + 1
        columns = (canvas.field[1] + 2 * canvas.pad_px) // CORE_PX + 1
        tile = _tiles(emitters.frame, emitters.y_px, emitters.x_px, canvas.pad_px, rows, columns)
        beyond = canvas.shape[0] * rows * columns
        if kept is not None:
            tile = torch.where(kept, tile, beyond)
        tile, order = torch.sort(tile, stable=True)
        # of the emitters in a tile, every SLOTS-th opens a window; no size is asked for but those of the result
        first = _first_of_tile(tile).cummax(0).values
        opened = _opens_window(first).cumsum(0)
        self.emitters, count = _sizes(opened, tile, None if kept is None else beyond)
        self.count = rounded_up(count) if in_batches(tile.device) and count <= MAX_GRAPH_WINDOWS else count
        tile, order, first, opened = (each[: self.emitters] for each in (tile, order, first, opened))
        self._slot = torch.empty_like(order).scatter_(0, order, _slots(first, opened))
        owner = tile.new_zeros(self.count).scatter_(0, opened - 1, tile)
        _, height, width = canvas.shape
        margin = canvas.pad_px + tables.halo
        corner_y, corner_x, starts, places = _corners(
            owner, rows, columns, margin, canvas.before, height, width, tables.side
        )
        if self.count > count:  # seen from so far away, empty slots are at the first pixel, outside the field
            corner_y[count:], corner_x[count:] = FAR_PX, FAR_PX
        self.places = WindowPlaces(corner_y, corner_x, Squares(tables.side, canvas.shape, starts, places))

    def spread(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Distribute values (E,) over the slots: (windows, SLOTS) each."""
        out = values[0].new_zeros((len(values), self.count * SLOTS))
        out[:, self._slot] = torch.stack(values)
        return out.view(len(values), self.count, SLOTS).unbind()

    def collect(self, *slots: Tensor) -> tuple[Tensor, ...]:
        """Collect the values of the slots (windows, SLOTS): (E,) each."""
        return torch.stack(slots).flatten(1).index_select(1, self._slot).unbind()


def rounded_up(count: int) -> int:
    """Return a number of 4 binary digits, at most an eighth larger.

    Layouts of about as many emitters then have the same shapes, and one CUDA graph.
    """
    step = 1 << max(0, count.bit_length() - 4)
    return -(-count // step) * step


def _sizes(opened: Tensor, tile: Tensor, beyond: int | None) -> tuple[int, int]:
    """Return the number of emitters and of their windows; the host waits.

    Args:
        opened: (E,) windows opened up to each emitter.
        tile: (E,) of each emitter, rising.
        beyond: tile from which on emitters are left out; None for all.
    """
    if not len(opened):
        return 0, 0
    if beyond is None:
        return len(opened), int(opened[-1])
    emitters, windows = _counts(opened, tile, beyond).tolist()
    return emitters, windows


def laid_out(
    canvas: Canvas, tables: Profiles, emitters: Emitters, keep: Tensor
) -> tuple[Emitters, Tensor, PatchLayout]:
    """Select emitters and lay them out.

    A graphics card is waited for once: the sizes of both are asked for together.

    Args:
        canvas: of the windows.
        tables: profiles of the PSF in a window.
        emitters: to select from.
        keep: (E,) bool.

    Returns:
        The emitters where keep is true, their indices and their layout.
    """
    if not in_batches(keep.device):
        chosen = keep.nonzero()[:, 0]
        emitters = emitters.where(chosen)
        return emitters, chosen, PatchLayout(canvas, tables, emitters)
    kept, chosen = torch.sort(keep.byte(), descending=True, stable=True)
    emitters = emitters.where(chosen)
    layout = PatchLayout(canvas, tables, emitters, kept.bool())
    return Emitters(*(values[: layout.emitters] for values in emitters)), chosen[: layout.emitters], layout
