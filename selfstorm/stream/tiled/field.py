"""A field in tiles: commands to all of them, and their results.

What has the camera's resolution is of the whole field, and the same as without tiles. What has the resolution of the
picture, 16 to 64 times as much, is of the tiles.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.physics.operators import LAGS, PAD_PX, Grid
from selfstorm.stages.covariances import Sums, WindowStatistics
from selfstorm.stages.density import MAX_MOMENTUM, TINY, shifted_data
from selfstorm.stages.out_of_focus import FAR_LAGS
from selfstorm.stream.tiled.board import Board
from selfstorm.stream.tiled.plan import Tile

PROBED_ITERATIONS = 2


class TilesLostError(Exception):
    """The process that computes some tiles has ended."""


class TileGroup(Protocol):
    """Some tiles of a field, computed one after the other in one process."""

    def ask(self, command: str, *numbers: float) -> None:
        """Begin a command on every tile."""
        ...

    def answer(self) -> list[float]:
        """Return the answer to the last command, summed over the tiles.

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


class TiledField:
    """All tiles of a field.

    Args:
        grid: of the field.
        tiles: all of them.
        groups: that the tiles are computed in, side by side.
        board: that they share.
        device: of what is computed of the whole field.
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
        height, width = grid.height, grid.width
        for name in ("image", "mean", "light"):
            board.reserve(name, (height, width))
        board.reserve("covariances", (len(LAGS), height, width))
        board.reserve("binned", (height + 2 * PAD_PX, width + 2 * PAD_PX))
        board.reserve("sums", (2 * len(LAGS) + 1, height, width))
        board.reserve("map", grid.cells)

    def call(self, command: str, *numbers: float) -> list[float]:
        """Carry out a command on all tiles; return its answer, summed over them."""
        for group in self._groups:
            group.ask(command, *numbers)
        answers = []
        for group in self._groups:
            try:
                answers.append(group.answer())
            except TilesLostError:
                continue
        if not answers:
            raise RuntimeError("all processes that compute tiles have ended")
        return [sum(parts) for parts in zip(*answers, strict=True)]

    def density(self, statistics: WindowStatistics, iterations: int) -> SeenDensity:
        """Deconvolve covariances into a density; it stays on the board.

        The iterations are those of `stages.density`, with the momentum of the whole field.
        """
        data, offset = shifted_data(statistics)
        self.board.put("data", data)
        (response,) = self.call("begin", *offset.flatten().tolist())
        level = float(statistics.covariance.clamp(min=0).sum()) / max(response, TINY)
        self.call("start", max(level, TINY))
        momentum = 0.0
        for number in range(iterations):
            along, power = self.call("step", momentum if number > 1 else 0.0)
            momentum = min(max(along / (power + 1e-20), 0.0), MAX_MOMENTUM)
        self.call("finish")
        return SeenDensity(self._copy("image"), self._copy("covariances"), self._copy("binned"))

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
        return (f"Computed in {rows} x {columns} tiles of {height.stop} x {width.stop} pixels",)

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

    def prior(self, brightness: float, excess: Tensor, background: Tensor) -> Tensor:
        """Make the prior of emitters.

        Returns:
            It, summed over each camera pixel of the padded grid.
        """
        self.board.put("excess", excess)
        self.board.put("background", background)
        self.call("emitters", brightness)
        return self._copy("binned")

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
