"""Frames in a recording's index, counted in a thread of its own.

A drive that hangs holds up nothing else.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path


class IndexCount:
    """Count of the lines of an index that a recorder left.

    Args:
        movie: of the recording; its index lies beside it.

    Attributes:
        frames: complete lines; 0 until they are counted, or where the index is gone or empty.
        last_seq: number of the last frame; -1 likewise.
    """

    def __init__(self, movie: str) -> None:
        self.frames, self.last_seq = 0, -1
        self._index = Path(movie).with_suffix(".jsonl")
        self._thread = threading.Thread(target=self._count, name="recording index", daemon=True)
        self._thread.start()

    def finished(self, timeout_s: float) -> bool:
        """Wait that long at most; True once the lines are counted."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _count(self) -> None:
        try:
            with self._index.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        self.frames, self.last_seq = self.frames + 1, int(json.loads(line)["seq"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
