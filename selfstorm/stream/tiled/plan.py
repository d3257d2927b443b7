"""Tiles of a field: cores that partition it, each with a halo.

A tile computes its core and a halo around it, and only the core is used: what the edge of the tile does to the density
has died away within the halo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from selfstorm.physics.operators import LAGS, PAD_PX, Grid
from selfstorm.psf.models import Psf, reach_px
from selfstorm.stages.density import FRAMES, MAPS
from selfstorm.stream.covariance_history import BLOCK_FRAMES
from selfstorm.stream.memory_plan import PROGRAM_BYTES

# Measured after 100 iterations: 2 reaches leave up to 6e-4 of the maximum in the core, 3 5e-4, 4 4e-4; rounding has a
# part in it.
HALO_REACHES = 4
# Statistics of a tile take some eight copies of its frames: of 100 frames 300 MB with 256 pixels, 1 GB with 512.
MAX_SIDE_PX, MIN_SIDE_PX = 256, 64
OPERATOR_MAPS = 3  # norm, and the maps of one product
FREE_SHARE = 0.25  # of the free memory, for the tile that is computed
# Of the field: bytes of a raw value, maps (the density, the one before, its step, the board's, the picture), frames.
RAW_BYTES, FIELD_MAPS, FIELD_FRAMES = 2, 5, 30


@dataclass(frozen=True, slots=True)
class TileAxis:
    """A tile along one axis, in camera pixels of the field.

    Attributes:
        core: pixels that the tile's result is used for.
        outer: pixels that it is computed on, halo included.
        pixels: pixels of the field along the axis.
    """

    core: slice
    outer: slice
    pixels: int

    @property
    def length(self) -> int:
        """Pixels that the tile is computed on."""
        return int(self.outer.stop - self.outer.start)

    @property
    def inner(self) -> slice:
        """Core, counted from the first pixel of the tile."""
        return slice(self.core.start - self.outer.start, self.core.stop - self.outer.start)

    def cells(self, scale: int) -> slice:
        """Return the core on the tile's padded grid.

        At the field's edges it has the padding.
        """
        begin = 0 if self.core.start == 0 else PAD_PX + self.inner.start
        end = 2 * PAD_PX + self.length if self.core.stop == self.pixels else PAD_PX + self.inner.stop
        return slice(begin * scale, end * scale)

    def field_cells(self, scale: int) -> slice:
        """Return the same cells on the padded grid of the field."""
        cells, shift = self.cells(scale), self.outer.start * scale
        return slice(cells.start + shift, cells.stop + shift)


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of a field."""

    y: TileAxis
    x: TileAxis

    @property
    def outer(self) -> tuple[slice, slice]:
        """Rows and columns of the field that it is computed on."""
        return self.y.outer, self.x.outer

    @property
    def core(self) -> tuple[slice, slice]:
        """Rows and columns of the field that its result is used for."""
        return self.y.core, self.x.core

    @property
    def inner(self) -> tuple[slice, slice]:
        """Core, counted from the tile's corner."""
        return self.y.inner, self.x.inner

    def grid(self, of_field: Grid) -> Grid:
        """Return the grid of the tile."""
        return Grid(self.y.length, self.x.length, of_field.scale, of_field.pixel_nm)

    def cells(self, scale: int) -> tuple[slice, slice]:
        """Return the core on the tile's padded grid.

        The cores of all tiles partition the field's.
        """
        return self.y.cells(scale), self.x.cells(scale)

    def field_cells(self, scale: int) -> tuple[slice, slice]:
        """Return the same cells on the padded grid of the field."""
        return self.y.field_cells(scale), self.x.field_cells(scale)


def halo_px(psf: Psf, pixel_nm: float) -> int:
    """Return the width of the halo of a PSF, in camera pixels."""
    return HALO_REACHES * reach_px(psf, pixel_nm)


def tiles_of(field: tuple[int, int], side_px: int, halo: int) -> tuple[Tile, ...]:
    """Cut a field (H, W) into tiles of about equal cores.

    Args:
        field: height and width, camera pixels.
        side_px: longest side of a core.
        halo: pixels around it.
    """
    along_y, along_x = (_cut(pixels, side_px, halo) for pixels in field)
    return tuple(Tile(y, x) for y in along_y for x in along_x)


def side_that_fits(grid: Grid, halo: int, free: int | None) -> int:
    """Choose the side of a core that fits into a share of the memory.

    Args:
        grid: of the field.
        halo: pixels around a core.
        free: bytes of the device; None where they are not counted.
    """
    side = MAX_SIDE_PX
    while free is not None and side > MIN_SIDE_PX:
        one = tiles_of((grid.height, grid.width), side, halo)[0]
        if tile_bytes(one.grid(grid)) <= FREE_SHARE * free:
            break
        side //= 2
    return side


def tile_bytes(grid: Grid) -> int:
    """Count the bytes of a tile's grid at the worst moment of an iteration."""
    return (MAPS + OPERATOR_MAPS) * grid.map_bytes + (FRAMES + 2 * len(LAGS)) * grid.frame_bytes


def planned_bytes(grid: Grid, tiles: Sequence[Tile], frames: int) -> int:
    """Count the bytes of a window at its worst moment.

    Args:
        grid: of the field.
        tiles: of the field; one is computed at a time.
        frames: of the window.
    """
    raw = frames * grid.height * grid.width * RAW_BYTES
    history = -(-frames // BLOCK_FRAMES) * (2 * len(LAGS) + 1) * grid.frame_bytes
    of_field = FIELD_MAPS * grid.map_bytes + FIELD_FRAMES * grid.frame_bytes
    return round(PROGRAM_BYTES) + raw + history + of_field + max(tile_bytes(tile.grid(grid)) for tile in tiles)


def _cut(pixels: int, side_px: int, halo: int) -> list[TileAxis]:
    count = -(-pixels // side_px)
    edges = [pixels * number // count for number in range(count + 1)]
    return [TileAxis(slice(a, b), slice(max(0, a - halo), min(pixels, b + halo)), pixels) for a, b in pairwise(edges)]
