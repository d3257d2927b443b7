"""Rendering of many emitters at any positions, and its derivatives.

A window is a square of camera pixels: a core, and a margin wide enough for a whole spot. Emitters in the same window
are rendered together by matrix products, since each mode of the PSF is separable; windows that overlap are added up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp
from selfstorm.compute.scatter import add_at
from selfstorm.frames import Array
from selfstorm.psf.models import Psf, reach_px
from selfstorm.psf.separable import Integral

PHASES = 256  # tabulated positions in a camera pixel: half a nanometre where a pixel is 100 nm
SLOPE_PX, BEND_PX = 0.08, 0.2  # steps of the difference quotients
HALO_PX = (4, 6)  # minimum and maximum margin of a window's core
CORE_PX = 12  # measured: 8 with 4 slots is faster on sparse frames and slower on dense ones, 16 about equal
SLOTS = 8


class Emitters(NamedTuple):
    """E emitters of a batch of frames, (E,) each.

    Attributes:
        frame: int64, index in the batch.
        y_px: position from the field's corner.
        x_px: position from the field's corner.
        photons: per frame.
    """

    frame: Tensor
    y_px: Tensor
    x_px: Tensor
    photons: Tensor

    def where(self, keep: Tensor) -> Emitters:
        """Select emitters by a mask (E,) bool or by indices."""
        chosen = keep.nonzero()[:, 0] if keep.dtype == torch.bool else keep  # once: it waits for the device
        return Emitters(*(values.index_select(0, chosen) for values in self))


@dataclass(frozen=True)
class Profiles:
    """The PSF's modes integrated over the pixels of a window, tabulated.

    Attributes:
        side: pixels of a window.
        halo: pixels of its margin on each side.
        modes: R.
        orders: derivatives by position: 2 for value and slope, 3 with the second derivative; per pixel.
        along_y: (side * PHASES, R * orders * side), by position: mode, order, pixel; includes the modes' weights.
        along_x: the same along x, without weights.
    """

    side: int
    halo: int
    modes: int
    orders: int
    along_y: Tensor
    along_x: Tensor

    def rows(self, y_px: Tensor, x_px: Tensor) -> tuple[Tensor, Tensor]:
        """Look up the profiles at positions (*shape) in the window.

        Returns:
            Along y and along x, each (*shape, R, orders, side).
        """
        shape = *y_px.shape, self.modes, self.orders, self.side
        return _look_up(self.along_y, y_px).view(shape), _look_up(self.along_x, x_px).view(shape)


def look_up(table: Tensor, position_px: Tensor) -> Tensor:
    """Look up the rows of a table at positions: (positions, columns)."""
    entry = (position_px * PHASES).long().clamp(0, len(table) - 1)
    return torch.index_select(table, 0, entry.flatten())


_look_up = CompiledOp(look_up)


@lru_cache(maxsize=16)
def profiles(psf: Psf, pixel_nm: float, core: int, orders: int, device: torch.device, dtype: torch.dtype) -> Profiles:
    """Tabulate the profiles of windows with a core of `core` pixels.

    Args:
        psf: the PSF.
        pixel_nm: camera pixel.
        core: pixels.
        orders: 2 for value and slope, 3 with the second derivative.
        device: of the tables.
        dtype: of the tables.
    """
    halo = int(np.clip(reach_px(psf, pixel_nm), *HALO_PX))
    side = core + 2 * halo
    position_nm = (np.arange(side * PHASES) + 0.5) * (pixel_nm / PHASES)
    edge_nm = np.arange(side + 1) * pixel_nm
    modes = psf.modes()

    def derivatives(integral: Integral) -> Array:
        def moved(step_px: float) -> Array:
            u_nm = edge_nm - position_nm[:, None] - step_px * pixel_nm
            return np.diff(integral(u_nm, 0.0), axis=1)

        value = moved(0.0)
        slope = (moved(SLOPE_PX) - moved(-SLOPE_PX)) / (2 * SLOPE_PX)
        bend = (moved(BEND_PX) + moved(-BEND_PX) - 2 * value) / BEND_PX**2
        return np.stack([value, slope, bend][:orders], 1)

    along_y = np.stack([m.weight * derivatives(m.along_y) for m in modes], 1).reshape(len(position_nm), -1)
    along_x = np.stack([derivatives(m.along_x) for m in modes], 1).reshape(len(position_nm), -1)
    y, x = (torch.as_tensor(t).to(dtype).to(device) for t in (along_y, along_x))
    return Profiles(side, halo, len(modes), orders, y, x)


class Canvas:
    """Frames with a border wide enough for every window.

    Pixel (i, j) of the field is at (i + before, j + before) of the canvas.

    Attributes:
        field: (H, W) camera pixels.
        pad_px: distance outside the field up to which emitters may be.
        before: border in front of the field, pixels.
        shape: (T, rows, columns) of the canvas.
    """

    def __init__(self, frames: int, height: int, width: int, pad_px: int, device: torch.device) -> None:
        self.field = (height, width)
        self.pad_px = pad_px
        self.before = pad_px + HALO_PX[1]
        after = self.before + CORE_PX
        self.shape = (frames, height + self.before + after, width + self.before + after)
        self.device = device

    def framed(self, z: Tensor, fill: float = 0.0) -> Tensor:
        """Place frames (T, H, W) on the canvas, `fill` around the field."""
        out = z.new_full((len(z), *self.shape[1:]), fill)
        out[:, self.before : self.before + self.field[0], self.before : self.before + self.field[1]] = z
        return out

    def squares(self, frame: Tensor, first_y: Tensor, first_x: Tensor, side: int) -> Squares:
        """Select N squares of the canvas.

        Args:
            frame: (N,) index of the frame.
            first_y: (N,) first pixel, from the field's corner.
            first_x: (N,) first pixel, from the field's corner.
            side: pixels.
        """
        starts, places = _square_places(frame, first_y, first_x, self.before, *self.shape[1:], side)
        return Squares(side, self.shape, starts, places)

    def clamp(self, y_px: Tensor, x_px: Tensor) -> tuple[Tensor, Tensor]:
        """Keep positions within the padded field."""
        low, (height, width) = -float(self.pad_px), self.field
        edge = self.pad_px - 1e-3
        return y_px.clamp(low, height + edge), x_px.clamp(low, width + edge)


def square_places(
    frame: Tensor, first_y: Tensor, first_x: Tensor, before: int, height: int, width: int, side: int
) -> tuple[Tensor, Tensor]:
    """Return starts and places (see Squares) of N squares of a canvas.

    Args:
        frame: (N,) index of the frame.
        first_y: (N,) first pixel, from the field's corner.
        first_x: (N,) first pixel, from the field's corner.
        before: border in front of the field, pixels.
        height: of the canvas.
        width: of the canvas.
        side: pixels.
    """
    corner = (frame * height + first_y + before) * width + first_x + before
    steps = torch.arange(side, device=frame.device)
    starts = corner[:, None] + steps * width
    return starts.flatten(), (starts[:, :, None] + steps).flatten()


_square_places = CompiledOp(square_places)


@dataclass(frozen=True)
class Squares:
    """N squares of a canvas.

    Attributes:
        side: pixels.
        shape: of the canvas.
        starts: (N * side,) flat index of the first pixel of each of their rows.
        places: (N * side * side,) flat index of each of their pixels.
    """

    side: int
    shape: tuple[int, int, int]
    starts: Tensor
    places: Tensor

    def of(self, canvas: Tensor) -> Tensor:
        """Cut the squares out of a canvas: (N, side, side)."""
        flat = canvas.flatten()
        # every row of `side` pixels of the canvas, overlapping in memory: measured 15 times faster than an index
        rows = flat.as_strided((len(flat) - self.side + 1, self.side), (1, 1))
        return torch.index_select(rows, 0, self.starts).view(-1, self.side, self.side)

    def added(self, images: Tensor) -> Tensor:
        """Add up images (N, side, side) at their places on an empty canvas."""
        canvas = images.new_zeros(math.prod(self.shape))
        return add_at(canvas, self.places, images.flatten()).view(self.shape)


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


def gradients(along: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum rows of a canvas, times profiles along y, times those along x.

    Args:
        along: (windows, SLOTS, R, orders, side).
        columns: of the same shape.
    """
    value_n_y = (along * columns[:, :, :, :1]).sum((2, 4))
    slope_x = (along[:, :, :, 0] * columns[:, :, :, 1]).sum((2, 3))
    return value_n_y[..., 0], value_n_y[..., 1], slope_x


_gradients = CompiledOp(gradients)


class Windows:
    """Emitters at given positions, rendered by windows.

    Values are (windows, SLOTS); the sum over the modes is part of the matrix products.
    """

    def __init__(self, tables: Profiles, layout: PatchLayout, y_px: Tensor, x_px: Tensor) -> None:
        self.squares = layout.squares
        rows, columns = tables.rows(y_px - layout.corner_y[:, None], x_px - layout.corner_x[:, None])
        # (windows, SLOTS, R, orders, side)
        self.rows, self.columns = rows, columns

    def add(self, n: Tensor) -> Tensor:
        """Render all spots, n photons each, on a canvas."""
        rows = (self.rows[:, :, :, 0] * n[:, :, None, None]).flatten(1, 2)
        return self.squares.added(rows.mT @ self.columns[:, :, :, 0].flatten(1, 2))

    def gradients(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sum canvas z times the spot, and times its slopes along y and x."""
        return _gradients(self._times_rows(self.rows, z), self.columns)

    def curvatures(self, n: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the curvatures of the separable surrogates.

        Args:
            n: (windows, SLOTS) photons.
            ratio: canvas of 1 / expected photons, 0 outside the field.

        Returns:
            Curvature in photons, in y and in x; the latter two per photon.
        """
        rows, columns = self.rows.abs(), self.columns.abs()
        value = self.squares.added(rows[:, :, :, 0].flatten(1, 2).mT @ columns[:, :, :, 0].flatten(1, 2)) * ratio
        along = self._times_rows(rows[:, :, :, :1], value)
        curve_n = (along[:, :, :, 0] * columns[:, :, :, 0]).sum((2, 3)).clamp(min=1e-9)
        # |slope y| + |slope x|: both derivatives in one product
        bright = (rows * n[:, :, None, None, None]).flip(3).flatten(1, 3)
        slopes = self.squares.added(bright.mT @ columns.flatten(1, 3)) * ratio
        along = self._times_rows(rows, slopes)
        curve_y = (along[:, :, :, 1] * columns[:, :, :, 0]).sum((2, 3))
        curve_x = (along[:, :, :, 0] * columns[:, :, :, 1]).sum((2, 3))
        return curve_n, curve_y, curve_x

    def _times_rows(self, rows: Tensor, z: Tensor) -> Tensor:
        """Multiply every row of every emitter by its window of canvas z.

        Returns:
            (windows, SLOTS, R, orders, side).
        """
        return (rows.flatten(1, 3) @ self.squares.of(z)).view(rows.shape)


class Patches:
    """Windows of their own, one around each emitter."""

    def __init__(self, canvas: Canvas, tables: Profiles, e: Emitters) -> None:
        self.tables = tables
        self.first_y, self.first_x = e.y_px.floor().long() - tables.halo, e.x_px.floor().long() - tables.halo
        self.squares = canvas.squares(e.frame, self.first_y, self.first_x, tables.side)
        self.rows, self.columns = tables.rows(e.y_px - self.first_y, e.x_px - self.first_x)

    def spot(self, order_y: int, order_x: int) -> Tensor:
        """Render spots of one photon, or derivatives: (E, side, side)."""
        return self.rows[:, :, order_y].mT @ self.columns[:, :, order_x]

    def spots(self, others: Emitters) -> Tensor:
        """Render on each window another emitter near it: (E, side, side)."""
        rows, columns = self.tables.rows(others.y_px - self.first_y, others.x_px - self.first_x)
        return (rows[:, :, 0] * others.photons[:, None, None]).mT @ columns[:, :, 0]

    def of(self, z: Tensor) -> Tensor:
        """Cut the windows out of canvas z: (E, side, side)."""
        return self.squares.of(z)

    def information(self, n: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Fisher information of positions along y and x.

        Args:
            n: (E,) photons.
            ratio: canvas of 1 / expected photons, 0 outside the field.

        Returns:
            (E, 2) each: including what an emitter shares with its neighbours, and of the emitter alone.
        """
        shared, own = [], []
        for orders in ((1, 0), (0, 1)):
            slope = self.spot(*orders).abs() * n[:, None, None]
            total = self.squares.added(slope) * ratio
            shared.append((slope * self.of(total)).sum((1, 2)))
            own.append((slope * slope * self.of(ratio)).sum((1, 2)))
        return torch.stack(shared, 1), torch.stack(own, 1)
