"""A field in tiles: commands to all of them, and their results.

What has the camera's resolution is of the whole field, and the same as without tiles. What has the resolution of the
picture, 16 to 64 times as much, is of the tiles.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from selfstorm.errors import SelfStormError
from selfstorm.frames import Array
from selfstorm.physics.operators import LAGS, PAD_PX, Grid
from selfstorm.stages.covariances import Sums, WindowStatistics
from selfstorm.stages.density import MAX_MOMENTUM, TINY, shifted_data
from selfstorm.stages.out_of_focus import FAR_LAGS
from selfstorm.stream.tiled.board import Board
from selfstorm.stream.tiled.plan import Tile
from selfstorm.stream.tiled.tile import TileSettings

PROBED_ITERATIONS = 2


class TilesLostError(SelfStormError):
    """The process that computes some tiles is lost."""


class TileGroup(Protocol):
    """Some tiles of a field, computed one after the other in one process."""

    @property
    def tiles(self) -> Sequence[Tile]:
        """The tiles."""
        ...

    def ask(self, command: str, *numbers: float) -> None:
        """Begin a command on every tile."""
        ...

    def answer(self) -> list[list[float]]:
        """Return the answer of each tile to the last command.

        Raises:
            TilesLostError: there is none, and none to commands until the next window.
        """
        ...


@dataclass(frozen=True, eq=False)
class SeenDensity:
    """A density, at the camera's resolution.

    Attributes:
        image: (H, W), as the camera sees it.
        covariances: (lags, H, W) that it predicts.
        binned: (H + 2 pads, W + 2 pads), summed over each camera pixel of the padded grid.
    """

    image: Tensor
    covariances: Tensor
    binned: Tensor


class TileWorkers(Protocol):
    """Processes that compute tiles, side by side, for one model at a time."""

    def board(self) -> Board:
        """Return a board that all of them share."""
        ...

    def groups_of(
        self, tiles: Sequence[Tile], shared: TileSettings, side_px: int, halo_px: int, board: Board
    ) -> Sequence[TileGroup]:
        """Give each process its share of the tiles of a field."""
        ...


class TiledField:
    """All tiles of a field.

    Args:
        grid: of the field.
        tiles: all of them.
        groups: that the tiles are computed in, side by side.
        board: that they share.
        device: of what is computed of the whole field.

    Attributes:
        lost: tiles without a density of the last window.
    """

    def __init__(
        self,
        grid: Grid,
        tiles: Sequence[Tile],
        groups: Sequence[TileGroup],
        board: Board,
        device: torch.device,
    ) -> None:
        self.grid, self.tiles, self.board, self._groups, self._device = grid, tiles, board, groups, device
        self.lost: list[Tile] = []
        self._level = TINY
        height, width = grid.height, grid.width
        for name in ("image", "mean", "light"):
            board.reserve(name, (height, width))
        board.reserve("covariances", (len(LAGS), height, width))
        board.reserve("binned", (height + 2 * PAD_PX, width + 2 * PAD_PX))
        board.reserve("sums", (2 * len(LAGS) + 1, height, width))
        board.reserve("map", grid.cells)

    def call(self, command: str, *numbers: float) -> list[float]:
        """Carry out a command on all tiles; return its answer, summed over them.

        Tiles whose process is lost are left out.

        Raises:
            SelfStormError: all are lost.
        """
        for group in self._groups:
            group.ask(command, *numbers)
        answers: list[list[float]] = []
        for group in self._groups:
            try:
                answers += group.answer()
            except TilesLostError:
                self.lost = [*self.lost, *(tile for tile in group.tiles if tile not in self.lost)]
        if not answers:
            raise SelfStormError("all processes that compute tiles were lost")
        # exact, so that it makes no difference which process computes which tile
        return [math.fsum(parts) for parts in zip(*answers, strict=True)]

    def begin(self, statistics: WindowStatistics) -> None:
        """Give the tiles the covariances of a window."""
        self.lost = []
        data, offset = shifted_data(statistics)
        self.board.put("data", data)
        (response,) = self.call("begin", *offset.flatten().tolist())
        level = float(statistics.covariance.clamp(min=0).sum()) / max(response, TINY)
        self._level = max(level, TINY)

    def density(self, iterations: int, before: SeenDensity | None = None, *, drawn: bool = True) -> SeenDensity:
        """Deconvolve the covariances into a density, from a flat one.

        The iterations are those of `stages.density`, with the momentum of the whole field. Where tiles are lost, the
        density is 0, and the camera sees what it saw of the density before.

        Args:
            iterations: their number.
            before: density of the window before, where there is one.
            drawn: leave it on the board, for a picture.
        """
        self.call("start", self._level)  # not in `begin`: what its statistics took is free by now
        momentum = 0.0
        for number in range(iterations):
            along, power = self.call("step", momentum if number > 1 else 0.0)
            momentum = min(max(along / (power + 1e-20), 0.0), MAX_MOMENTUM)
        self.call("finish", float(drawn))
        if drawn:
            self._blank_lost("map")
        seen = SeenDensity(self._copy("image"), self._copy("covariances"), self._copy("binned"))
        return self._completed(seen, before) if self.lost else seen

    def iteration_s(self) -> float:
        """Measure the time of one iteration of all tiles, in seconds."""
        self.board.reserve("data", (len(LAGS), self.grid.height, self.grid.width))[...] = 1
        self.call("begin", *[1.0] * len(LAGS))
        self.call("start", 1.0)
        start = time.perf_counter()
        for _ in range(PROBED_ITERATIONS):
            self.call("step", 0.5)
        return (time.perf_counter() - start) / PROBED_ITERATIONS

    def notes(self) -> tuple[str, ...]:
        """Return notes for the user on the tiles of the last picture."""
        rows, columns = (len({one.start for one in along}) for along in zip(*(t.core for t in self.tiles), strict=True))
        height, width = self.tiles[0].core
        computed = f"Computed in {rows} x {columns} tiles of {height.stop} x {width.stop} pixels"
        if not self.lost:
            return (computed,)
        missing = (
            f"{len(self.lost)} of {len(self.tiles)} tiles are missing, for the process that computes them was lost"
        )
        return f"{missing}; the picture is black there", computed

    def choose(self, slots: Array, gains: Tensor) -> None:
        """Choose the frames of the commands to come, and say how bright they are."""
        self.board.put("chosen", slots)
        self.board.put("gains", gains.flatten())

    def fluctuations(self, frames: int) -> tuple[Tensor, Tensor]:
        """Measure the chosen frames.

        Args:
            frames: their number.

        Returns:
            Their mean (H, W) photons at equal brightness, and the mean covariance of far pixels, a scalar.
        """
        products = self.call("fluctuations", frames)
        height, width = self.grid.height, self.grid.width
        counts = [frames * (height - dy) * (width - abs(dx)) for dy, dx in FAR_LAGS]
        means = [product / count for product, count in zip(products, counts, strict=True) if count > 0]
        far = sum(means) / max(len(means), 1) * frames / max(frames - 1, 1)
        return self._copy("mean"), torch.tensor(far, dtype=torch.float64, device=self._device)

    def sums(self, knots: Tensor, first: int, end: int, window: int) -> Sums:
        """Sum products over some of the chosen frames; see `covariances.sums_of`.

        Args:
            knots: (T, rows, columns), out-of-focus light of the chosen frames.
            first: first of the frames to sum over.
            end: end of them.
            window: frames of the window.
        """
        self.board.put("knots", knots)
        self.call("sums", len(knots), first, end, window)
        now, following, power = self._copy("sums").split([len(LAGS), len(LAGS), 1])
        frames = end - first
        return Sums(frames, frames * (window - 1) / window, now, following, power[0])

    def maps(self, first: int, end: int, mean: float, start: float, *, best: bool, seen: Tensor) -> None:
        """Make the sum of emitter maps over some of the chosen frames.

        It stays on the board. Where tiles are lost it is 0, and all light counts as background.

        Args:
            first: first of the frames, among the chosen.
            end: end of them.
            mean: of the prior, over the field.
            start: photons per cell to start from.
            best: with the iterations of quality 'best'.
            seen: (H, W) photons, mean of the frames.
        """
        self.call("maps", first, end, mean, start, float(best))
        self._blank_lost("map")
        for tile in self.lost:
            self.board["image"][tile.core] = 0
            self.board["light"][tile.core] = (end - first) * seen[tile.core].cpu().numpy()

    def prior(self, brightness: float, excess: Tensor, background: Tensor) -> Tensor:
        """Make the prior of emitters.

        Returns:
            It, summed over each camera pixel of the padded grid.
        """
        self.board.put("excess", excess)
        self.board.put("background", background)
        self.call("emitters", brightness)
        return self._copy("binned")

    def release(self) -> None:
        """Free the maps of the tiles; the board keeps the last one."""
        lost = self.lost
        with suppress(SelfStormError):  # a process that is lost now has done its part
            self.call("release")
        self.lost = lost

    def map(self) -> Tensor:
        """Return a copy of the last map, (rows, columns) of the padded grid."""
        return torch.tensor(self.board["map"])

    def picture(self) -> Array:
        """Return a copy of its part in the field, (scale * H, scale * W)."""
        return self.grid.crop(torch.as_tensor(self.board["map"])).numpy().copy()

    def image(self) -> Tensor:
        """Return what the camera sees of it, (H, W)."""
        return self._copy("image")

    def light(self) -> Tensor:
        """Return the summed background of the last emitter maps, (H, W)."""
        return self._copy("light")

    def _copy(self, name: str) -> Tensor:
        return torch.tensor(self.board[name]).to(self._device)

    def _blank_lost(self, name: str) -> None:
        for tile in self.lost:
            self.board[name][tile.field_cells(self.grid.scale)] = 0

    def _completed(self, seen: SeenDensity, before: SeenDensity | None) -> SeenDensity:
        """Fill lost tiles with their last image, as bright as the others."""
        kept = torch.ones_like(seen.image)
        for tile in self.lost:
            kept[tile.core] = 0
        before = before or SeenDensity(*(torch.zeros_like(one) for one in (seen.image, seen.covariances, seen.binned)))
        brightness = (seen.image * kept).sum() / (before.image * kept).sum().clamp(min=TINY)
        for tile in self.lost:
            seen.image[tile.core] = brightness * before.image[tile.core]
            seen.covariances[:, *tile.core] = brightness * before.covariances[:, *tile.core]
            seen.binned[tile.field_cells(1)] = brightness * before.binned[tile.field_cells(1)]
        return seen
