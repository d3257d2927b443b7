"""One tile: statistics of its frames, its density, its emitter maps.

It reads its part of the board, halo included, and writes its core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.compute.batching import frames_together
from selfstorm.compute.host_memory import return_freed_memory
from selfstorm.frames import Array
from selfstorm.physics.camera import Camera
from selfstorm.physics.multiplicative import back_projected_ratio
from selfstorm.physics.operators import LAGS, Grid, Imaging, LaggedCovariance, inside_field
from selfstorm.physics.splines import spline_basis
from selfstorm.psf.models import Psf
from selfstorm.stages.covariances import shifted, sums_of, trend
from selfstorm.stages.density import ahead, ratio
from selfstorm.stages.emitters import EMITTER_SETTINGS, emitter_maps
from selfstorm.stages.out_of_focus import FAR_LAGS, KNOT_SPACING_PX
from selfstorm.stages.saturation import restore_saturated
from selfstorm.stream.searched_frames import MIN_BACKGROUND, MIN_PHOTONS
from selfstorm.stream.tiled.board import Board
from selfstorm.stream.tiled.plan import Tile, TileAxis
from selfstorm.stream.tiled.tile_maps import TileMaps

ITERATED = "before", "step"  # maps beside the density while it is iterated


@dataclass(frozen=True)
class TileSettings:
    """Settings that all tiles of a field share.

    Attributes:
        grid: of the field.
        psf: optics.
        camera: offset and gain.
        saturation_adu: value at which the camera clips.
        map_bytes: memory of a batch of maps.
    """

    grid: Grid
    psf: Psf
    camera: Camera
    saturation_adu: float
    map_bytes: int


class TileOperators:
    """Operators of tiles, made when first used; tiles of one size share them."""

    def __init__(self, psf: Psf, like: Tensor) -> None:
        self._psf, self._like = psf, like
        self._known: dict[Grid, tuple[Imaging, LaggedCovariance]] = {}
        self._splines: dict[int, Tensor] = {}

    def of(self, grid: Grid) -> tuple[Imaging, LaggedCovariance]:
        """Return the operators of a tile's grid."""
        if grid not in self._known:
            self._known[grid] = Imaging(self._psf, grid, self._like), LaggedCovariance(self._psf, grid, self._like)
        return self._known[grid]

    def splines(self, axis: TileAxis) -> Tensor:
        """Return a tile's rows of the smooth background: (length, knots).

        All tiles of an axis have views of one matrix.
        """
        if axis.pixels not in self._splines:
            self._splines[axis.pixels] = spline_basis(axis.pixels, self._like, KNOT_SPACING_PX)
        return self._splines[axis.pixels][axis.outer]


class ComputedTile:
    """A tile on a device.

    Args:
        tile: where it is in the field.
        settings: of the field.
        operators: of the tiles on this device.
        board: arrays of the field.
        maps: of the tiles on this device.
        number: of the tile among them.
        device: of the tile.
    """

    def __init__(
        self,
        tile: Tile,
        settings: TileSettings,
        operators: TileOperators,
        board: Board,
        maps: TileMaps,
        number: int,
        device: torch.device,
    ) -> None:
        self.tile, self._settings, self._board, self._device = tile, settings, board, device
        self._operators, self._maps, self._number = operators, maps, number
        self._cells = tile.cells(settings.grid.scale)
        self._knots_y, self._knots_x = operators.splines(tile.y), operators.splines(tile.x)

    @property
    def _imaging(self) -> Imaging:
        return self._operators.of(self.tile.grid(self._settings.grid))[0]

    @property
    def _covariance(self) -> LaggedCovariance:
        return self._operators.of(self.tile.grid(self._settings.grid))[1]

    # Density

    def begin(self, *offset: float) -> list[float]:
        """Read the covariances of the field.

        Returns:
            Covariances of a flat density of 1, summed over the core.
        """
        like = torch.zeros((self.tile.y.length, self.tile.x.length), device=self._device)
        inside = inside_field(LAGS, like)
        self._data = self._read("data") * inside
        self._offset = torch.tensor(offset, device=self._device)[:, None, None]
        seen = self._covariance.forward(torch.ones_like(self._covariance.norm)) * inside
        return [float(self._core(seen).sum())]

    def start(self, level: float) -> list[float]:
        """Start from a flat density."""
        for name, value in (("m", level), ("before", level), ("step", 0.0)):
            self._map(name).fill_(value)
        return []

    def step(self, momentum: float) -> list[float]:
        """Iterate once, into the place of the density before.

        The momentum is that of the whole field: with its own, each tile would be as far as another number of
        iterations, up to 4 % of the maximum away (docs/decisions/0032).

        Args:
            momentum: factor of the extrapolation; 0 in the first two iterations.

        Returns:
            Products of this step with the last one, and of the last one with itself, summed over the core.
        """
        m, new, step = (self._map(name) for name in ("m", *ITERATED))
        z = ahead(m, new, torch.tensor(momentum)) if momentum else m
        factor = back_projected_ratio(self._covariance, z, self._data, self._offset, ratio)
        torch.div(factor.clamp_(min=0).mul_(z), self._covariance.norm, out=new)
        gradient, last = torch.sub(new, z, out=factor), step[self._cells]
        along, power = float((gradient[self._cells] * last).sum()), float((last * last).sum())
        step.copy_(gradient)
        return [along, power]

    def finish(self, drawn: float) -> list[float]:
        """Write what the camera sees of the density.

        Args:
            drawn: 1 to write the density too.
        """
        del self._data
        m = self._map("m")
        self._write("covariances", self._core(self._covariance.forward(m)))
        self._write_seen(m)
        if drawn:
            self._write_map(m)
        return []

    def release(self) -> list[float]:
        """Do nothing: the maps of all tiles are freed together."""
        return []

    # Statistics of frames

    def fluctuations(self, frames: float) -> list[float]:
        """Write the mean of the chosen frames at equal brightness.

        Args:
            frames: number of the chosen frames.

        Returns:
            Products of far pixels summed over the core, by lag.
        """
        z = self._frames(0, int(frames)) / self._gains(0, int(frames))
        self._write("mean", self._core(z.mean(0)))
        c = z - trend(z)
        return [float(self._core((c * shifted(c, *lag)).sum(0)).sum()) for lag in FAR_LAGS]

    def sums(self, frames: float, first: float, end: float, window: float) -> list[float]:
        """Write the sums of products of some of the chosen frames.

        Args:
            frames: number of the chosen frames.
            first: first of the frames to sum over, among the chosen.
            end: end of them.
            window: frames of the window.
        """
        z = self._frames(0, int(frames)) / self._gains(0, int(frames))
        knots = self._tensor(self._board["knots"])
        c = z - trend(z) - self._smooth(knots - trend(knots))
        before = c[int(first) - 1 : int(first)] if first else None
        made = sums_of(c[int(first) : int(end)], before, int(window))
        self._write("sums", self._core(torch.cat([made.now, made.following, made.power[None]])))
        return []

    # Emitters

    def emitters(self, brightness: float) -> list[float]:
        """Make the prior of emitters from the density and steady light.

        It is written summed over camera pixels.
        """
        static = self._imaging.adjoint(self._read("excess")) / self._imaging.norm / self._settings.grid.scale**2
        emitters = self._map("emitters")
        torch.add(brightness * self._map("m"), static, out=emitters)
        self._write_binned(emitters)
        return []

    def maps(self, first: float, end: float, mean: float, start: float, best: float) -> list[float]:
        """Write the sum of emitter maps over some of the chosen frames.

        The camera's image of it and the background are written too.

        Args:
            first: first of the frames, among the chosen.
            end: end of them.
            mean: of the prior, over the field.
            start: photons per cell to start from.
            best: 1 for quality 'best', 0 for 'fast'.
        """
        prior = self._map("emitters") / mean
        total, light = torch.zeros_like(prior), torch.zeros_like(self._read("background"))
        together = frames_together(prior.numel(), self._settings.map_bytes)
        quality = EMITTER_SETTINGS["best" if best else "fast"]
        for begin in range(int(first), int(end), together):
            part = slice(begin, min(begin + together, int(end)))
            gains, y = (
                self._gains(part.start, part.stop),
                self._frames(part.start, part.stop).clamp(min=0) + MIN_PHOTONS,
            )
            knots = self._tensor(self._board["knots"][part])
            background = (self._read("background") + self._smooth(knots)).clamp(min=MIN_BACKGROUND) * gains
            total += emitter_maps(self._imaging, y, prior, start * gains, background, quality).sum(0)
            light += background.sum(0)
        self._write_map(total)
        self._write_seen(total)
        self._write("light", self._core(light))
        return []

    # Maps and board

    def _map(self, name: str) -> Tensor:
        return self._maps.of(name, self._number)

    def _tensor(self, values: Array) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values)).to(self._device)

    def _read(self, name: str) -> Tensor:
        return self._tensor(self._board[name][..., *self.tile.outer])

    def _core(self, z: Tensor) -> Tensor:
        return z[..., *self.tile.inner]

    def _write(self, name: str, core: Tensor) -> None:
        self._board[name][..., *self.tile.core] = core.cpu().numpy()

    def _write_map(self, m: Tensor) -> None:
        """Write a map of SR cells."""
        self._board["map"][*self.tile.field_cells(self._settings.grid.scale)] = m[self._cells].cpu().numpy()

    def _write_seen(self, m: Tensor) -> None:
        """Write a map as the camera sees it, and binned."""
        self._write("image", self._core(self._imaging.forward(m)))
        self._write_binned(m)

    def _write_binned(self, m: Tensor) -> None:
        scale = self._settings.grid.scale
        binned = F.avg_pool2d(m[None, None], scale)[0, 0] * scale**2
        self._board["binned"][*self.tile.field_cells(1)] = binned[*self.tile.cells(1)].cpu().numpy()

    def _gains(self, first: int, end: int) -> Tensor:
        return self._tensor(self._board["gains"][first:end])[:, None, None]

    def _smooth(self, knots: Tensor) -> Tensor:
        return self._knots_y @ knots @ self._knots_x.T

    def _frames(self, first: int, end: int) -> Tensor:
        """Return some of the chosen frames, (T, H, W) photons of the tile."""
        return photons_of(self._board, self._settings, slice(first, end), self.tile.outer, self._device)


def photons_of(
    board: Board, settings: TileSettings, chosen: slice, where: tuple[slice, slice], device: torch.device
) -> Tensor:
    """Return a part of some of the chosen frames, (T, h, w) photons."""
    raw = board["frames"][board["chosen"][chosen], *where]  # at once: of whole frames, a copy would be made first
    y = torch.as_tensor(settings.camera.photons(raw)).to(device)
    saturated = raw >= settings.saturation_adu
    if not saturated.any():
        return y
    of_device = torch.as_tensor(saturated).to(device)
    return restore_saturated(y, of_device, settings.psf, settings.grid.pixel_nm, settings.map_bytes)


COMMANDS = frozenset({"begin", "start", "step", "finish", "fluctuations", "sums", "emitters", "maps", "release"})


class LocalTiles:
    """Tiles computed here, one after the other (implements TileGroup)."""

    def __init__(self, tiles: tuple[Tile, ...], settings: TileSettings, board: Board, device: torch.device) -> None:
        operators = TileOperators(settings.psf, torch.zeros((), device=device))
        self.tiles = tiles
        self._maps = TileMaps([tile.grid(settings.grid).cells for tile in tiles], device)
        self._computed = [
            ComputedTile(tile, settings, operators, board, self._maps, number, device)
            for number, tile in enumerate(tiles)
        ]
        self._answers: list[list[float]] = []

    def ask(self, command: str, *numbers: float) -> None:
        """Carry out a command on every tile."""
        if command == "start":
            return_freed_memory()  # the maps follow, most of all that is needed
        elif command == "finish":
            self._maps.free(*ITERATED)
        with torch.inference_mode():
            self._answers = [getattr(one, command)(*numbers) for one in self._computed]
        if command == "step":
            self._maps.swap("m", ITERATED[0])
        elif command == "release":
            self._maps.free()

    def answer(self) -> list[list[float]]:
        """Return the answer of each tile to the last command."""
        return self._answers
