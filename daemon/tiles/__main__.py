"""Process of some tiles: carries out commands on them.

    python -m daemon.tiles DEVICE THREADS

It reads JSON lines: {"setup": ...}, {"array": ...}, {"do": command, "numbers": [...]}; it prints {"ready": true} once
it listens, and {"answer": [...]} to every command, or {"failed": ...}.

It ends when its standard input closes, so it never outlives the daemon that started it, however that ended.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import torch

from daemon.tiles.setup import Setup
from daemon.tiles.shared_arrays import AttachedArrays
from daemon.transport.child_process import leave_signals_to_parent, send_line
from selfstorm.compute.device import prepare_device, prepare_thread
from selfstorm.errors import first_line
from selfstorm.stream.tiled.board import Board
from selfstorm.stream.tiled.tile import COMMANDS, LocalTiles


class TileProcess:
    """The tiles of this process.

    Args:
        device: of the tiles.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._board = Board()
        self._arrays = AttachedArrays(self._board)
        self._tiles: LocalTiles | None = None

    def heed(self, line: dict[str, Any]) -> dict[str, Any] | None:
        """Heed a line of the daemon; return the answer, where there is one."""
        if "setup" in line:
            setup = Setup.model_validate(line["setup"])
            self._tiles = LocalTiles(setup.tiles, setup.shared, self._board, self._device)
        elif "array" in line:
            self._arrays.attach(line["array"], line["memory"], tuple(line["shape"]), line["dtype"])
        elif self._tiles is not None and line.get("do") in COMMANDS:
            self._tiles.ask(line["do"], *line["numbers"])
            return {"answer": self._tiles.answer()}
        else:
            return {"failed": f"no such command: {line}"}
        return None


def main() -> None:
    """Carry out commands until the standard input closes."""
    leave_signals_to_parent()
    name, threads = sys.argv[1:]
    prepare_device(name.partition(":")[0])
    device = torch.device(name)
    if device.type == "cpu":
        torch.set_num_threads(int(threads))
    prepare_thread(device)
    process = TileProcess(device)
    send_line(ready=True)
    for line in sys.stdin:
        try:
            answer = process.heed(json.loads(line))
        except Exception as error:  # the daemon says what failed, and goes on without these tiles
            answer = {"failed": f"{type(error).__name__}: {first_line(error)}"}
        if answer is not None:
            send_line(**answer)
    os._exit(0)  # the interpreter takes seconds to tear torch down, for which the daemon would wait


if __name__ == "__main__":
    main()
