"""Some tiles of a field in a process of their own, which may be lost.

    starting -> ready -> lost -> starting
                 ^  |
                 `--+  one command, one answer

What is lost with a process is its part of the window under way: statistics of frames are made here instead, the
density and the maps of its tiles are missing from that picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from daemon.tiles.setup import Setup
from daemon.transport.child_process import ChildProcess, wait_said
from selfstorm.errors import InputError
from selfstorm.stream.tiled.board import Board
from selfstorm.stream.tiled.field import TilesLostError
from selfstorm.stream.tiled.plan import Tile
from selfstorm.stream.tiled.tile import LocalTiles

ANSWER_S = 60.0  # a process that takes longer hangs
STATELESS = frozenset({"fluctuations", "sums"})  # commands that need no earlier one
FIRST = "begin"  # command that a process can enter a window with

Announce = Callable[[ChildProcess], None]
Tell = Callable[[str], None]


class ProcessTiles:
    """Tiles in a process of their own (implements TileGroup).

    Args:
        number: of the process, from 0.
        device: that it computes on.
        threads: of a CPU.
        tell: called with a sentence when the process is lost.
        announce: sends a new process the arrays that there are.
    """

    def __init__(self, number: int, device: str, threads: int, tell: Tell, announce: Announce) -> None:
        self._number, self._arguments = number, [device, str(threads)]
        self._tell, self._announce = tell, announce
        self._setup: Setup | None = None
        self._board = Board()
        self._child = self._started()
        self._ready, self._in_window = False, False
        self._asked: tuple[str, tuple[float, ...]] = ("", ())

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles of the process."""
        return self._setup.tiles if self._setup is not None else ()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait for a process that starts; return whether it is ready."""
        if not self._ready and not self._child.ending:  # one that has ended is not waited for at every command
            said = wait_said(self._child, timeout_s)
            self._ready = said is not None and "ready" in said
        return self._ready

    def set_up(self, setup: Setup, board: Board) -> None:
        """Give the process its tiles."""
        self._setup, self._board, self._in_window = setup, board, False
        self._child.tell(setup=setup.model_dump())

    def announce(self, array: Mapping[str, Any]) -> None:
        """Announce an array that processes share."""
        self._child.tell(**array)

    def ask(self, command: str, *numbers: float) -> None:
        """Begin a command."""
        self._asked = command, numbers
        ready = self.wait_ready(0.0)
        if command == FIRST:
            self._in_window = ready
            if not ready and self._child.ending:
                self._lose(self._child.ending)
        if self._takes(command):
            self._child.tell(do=command, numbers=list(numbers))

    def answer(self) -> list[list[float]]:
        """Return the answer of each tile to the last command.

        One that needs no earlier command is carried out here where the process is lost.

        Raises:
            TilesLostError: the process is lost, or was when the window began.
        """
        command, numbers = self._asked
        if self._takes(command):
            said = wait_said(self._child, ANSWER_S)
            if said is not None and "answer" in said:
                return [[float(number) for number in of_tile] for of_tile in said["answer"]]
            if said is not None:
                self._lose(str(said.get("failed", said))[:300])
            else:
                self._lose(self._child.ending or f"did not answer within {ANSWER_S:.0f} s")
        if command not in STATELESS or self._setup is None:
            raise TilesLostError(f"the process of tiles {self._number} is lost")
        here = LocalTiles(self._setup.tiles, self._setup.shared, self._board, torch.device("cpu"))
        here.ask(command, *numbers)
        return here.answer()

    def ask_to_stop(self) -> None:
        """Ask the process to end."""
        self._child.ask_to_stop()

    def stop(self, timeout_s: float) -> None:
        """End the process and wait for it; kill it after a time."""
        self._child.stop(timeout_s)

    def _takes(self, command: str) -> bool:
        return self._ready and (self._in_window or command in STATELESS)

    def _lose(self, why: str) -> None:
        """Start another process; the window under way goes on without.

        Where none can be started, that is tried again with the next window.
        """
        self._child.stop(0.0)
        self._ready, self._in_window = False, False
        lost = f"the process of tiles {self._number} {why}"
        try:
            self._child = self._started()
        except InputError as error:
            self._tell(f"{lost}; {error}")
            return
        self._tell(f"{lost}; it is started again")
        self._announce(self._child)
        if self._setup is not None:
            self._child.tell(setup=self._setup.model_dump())

    def _started(self) -> ChildProcess:
        return ChildProcess("daemon.tiles", self._arguments)
