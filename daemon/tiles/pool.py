"""Processes that compute the tiles of a run, and their shared arrays."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from daemon.tiles.process_tiles import ProcessTiles, Tell
from daemon.tiles.setup import Setup
from daemon.tiles.shared_arrays import SharedArrays
from daemon.transport.child_process import STOP_S, ChildProcess
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.stream.tiled.board import Board
from selfstorm.stream.tiled.plan import Tile
from selfstorm.stream.tiled.tile import TileSettings

START_S = 120.0  # torch is loaded in each


class TilePool:
    """Processes that compute tiles side by side (implements TileWorkers).

    Args:
        devices: one process a device; the same one several times is possible.
        tell: called with a sentence when a process is lost.
        notes: folder that notes what a killed daemon leaves; None for the user's own.
    """

    def __init__(self, devices: Sequence[str], tell: Tell, notes: Path | None = None) -> None:
        self._arrays = SharedArrays(notes)
        self._known: dict[str, dict[str, Any]] = {}
        self._devices, self._tell = devices, tell
        self.groups: list[ProcessTiles] = []

    def board(self) -> Board:
        """Return a board that all processes share; the first starts them.

        Raises:
            InputError: the system cannot start so many processes.
        """
        if not self.groups:
            threads = max(1, (os.cpu_count() or 1) // len(self._devices))
            try:
                for number, device in enumerate(self._devices):
                    self.groups.append(ProcessTiles(number, device, threads, self._tell, self._announce_all))
            except InputError:
                self._end_processes()  # all are started again with the next window
                raise
        return Board(self._allocate)

    def groups_of(
        self, tiles: Sequence[Tile], shared: TileSettings, side_px: int, halo_px: int, board: Board
    ) -> Sequence[ProcessTiles]:
        """Give every process its share of the tiles of a field."""
        for number, group in enumerate(self.groups):
            chosen = range(number, len(tiles), len(self.groups))
            group.wait_ready(START_S)
            group.set_up(Setup.of(shared, side_px, halo_px, chosen), board)
        return self.groups

    def close(self, timeout_s: float = STOP_S) -> None:
        """End the processes and free the arrays.

        Args:
            timeout_s: for all processes; those that still compute are then killed.
        """
        self._end_processes(timeout_s)
        self._arrays.close()

    def _end_processes(self, timeout_s: float = STOP_S) -> None:
        for group in self.groups:
            group.ask_to_stop()
        deadline_s = time.monotonic() + timeout_s
        for group in self.groups:
            group.stop(max(0.0, deadline_s - time.monotonic()))
        self.groups = []

    def _allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        array = self._arrays.allocate(name, shape, dtype)
        memory = self._arrays.memory_name(name)
        self._known[name] = {"array": name, "memory": memory, "shape": list(shape), "dtype": dtype.str}
        for group in self.groups:
            group.announce(self._known[name])
        return array

    def _announce_all(self, child: ChildProcess) -> None:
        for array in self._known.values():
            child.tell(**array)


def devices_of(device: torch.device, processes: int | None) -> list[str]:
    """Return the device of each process of tiles.

    Args:
        device: of the run.
        processes: their number; None for one a device where there are several, and none elsewhere.
    """
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    count = (there if there > 1 else 0) if processes is None else processes
    return [f"cuda:{number % there}" if device.type == "cuda" else device.type for number in range(count)]
