"""Arrays in memory that several processes share.

The daemon makes and removes them; the processes of the tiles only attach to them. Windows frees such memory with the
last process that holds it. Elsewhere it has a name that outlives a process that was killed: names are noted in a file,
and the next start removes those of daemons that no longer run.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
import sys
import tempfile
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.stream.tiled.board import Board

NAMES_OUTLIVE = sys.platform != "win32"
AWAY = "remove it, or set TMPDIR to a folder of your own"
NO_MEMORY = "give more (docker: --shm-size), choose a region, or set tile_processes = 0"
FULL = "make space there, or set TMPDIR to another folder"
MAX_NOTED = 100_000  # arrays of a daemon that was killed; each change of the field makes a few


class _Memory(SharedMemory):
    """Shared memory that stays mapped until the arrays in it are gone."""

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return the memory as an array, which holds it.

        `np.ndarray(buffer=...)` would not: closed memory would then be written to.
        """
        return np.asarray(self.buf)[: math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)

    def __del__(self) -> None:
        _close(self)


class SharedArrays:
    """Arrays that this process owns.

    Args:
        notes: folder of the files that note what is to be removed.
    """

    def __init__(self, notes: Path | None = None) -> None:
        self._notes = notes or notes_folder()
        self._held: dict[str, _Memory] = {}
        self._given_up: list[_Memory] = []
        self._count = 0
        if NAMES_OUTLIVE:
            remove_leftovers(self._notes)

    def allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array of zeros; the one of that name before is given up.

        Raises:
            InputError: there is not enough shared memory, or its notes cannot be kept.
        """
        memory_name = name_of(os.getpid(), self._count)
        self._count += 1
        if NAMES_OUTLIVE:  # noted before it is made: a name that was never used does no harm
            own_folder(self._notes)
            self._note()
        memory = _new_memory(memory_name, max(1, math.prod(shape) * dtype.itemsize))
        self.forget(name)
        self._held[name] = memory
        return memory.array(shape, dtype)

    def _note(self) -> None:
        """Note how many names were used."""
        note = self._notes / str(os.getpid())
        try:
            note.write_text(str(self._count), encoding="ascii")
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", where=note, hint=FULL) from None

    def memory_name(self, name: str) -> str:
        """Return the name by which another process attaches to an array."""
        return self._held[name].name

    def forget(self, name: str) -> None:
        """Give up an array: it is freed with the last process that holds it."""
        if (memory := self._held.pop(name, None)) is not None:
            memory.unlink()
            self._given_up.append(memory)
        self._given_up = [one for one in self._given_up if not _close(one)]

    def close(self) -> None:
        """Give up all arrays."""
        for name in list(self._held):
            self.forget(name)
        if NAMES_OUTLIVE:
            (self._notes / str(os.getpid())).unlink(missing_ok=True)


class AttachedArrays:
    """Arrays that another process owns."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._held: dict[str, _Memory] = {}
        self._given_up: list[_Memory] = []

    def attach(self, name: str, memory_name: str, shape: tuple[int, ...], dtype: str) -> None:
        """Put an array of another process on the board."""
        memory = _Memory(memory_name)
        if NAMES_OUTLIVE and sys.version_info < (3, 13):  # it would be removed when this process ends
            resource_tracker.unregister(f"/{memory.name}", "shared_memory")
        self._board[name] = memory.array(shape, np.dtype(dtype))
        if (before := self._held.pop(name, None)) is not None:
            self._given_up.append(before)
        self._given_up = [one for one in self._given_up if not _close(one)]
        self._held[name] = memory


def name_of(pid: int, number: int) -> str:
    """Return the name of a process's n-th array.

    macOS allows 30 characters.
    """
    return f"selfstorm-{pid}-{number}"


def notes_folder() -> Path:
    """Return the folder of this user's notes on what is to be removed."""
    user = "" if sys.platform == "win32" else f"-{os.getuid()}"
    return Path(tempfile.gettempdir()) / f"selfstorm-tiles{user}"


def own_folder(notes: Path) -> None:
    """Make the folder of notes, or check that no other user can write there.

    Raises:
        InputError: it is another user's, a link, or open to others.
    """
    try:
        notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = notes.lstat()
    except OSError as error:
        raise InputError(f"cannot be made ({error.strerror})", where=notes, hint=AWAY) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise InputError("is not a folder of this user alone", where=notes, hint=AWAY)


def remove_leftovers(notes: Path) -> None:
    """Remove the arrays of daemons that no longer run."""
    for note in notes.glob("[0-9]*"):
        pid = int(note.name) if note.name.isdecimal() and len(note.name) < 10 else 0
        if not pid or _runs(pid) or not stat.S_ISREG(note.lstat().st_mode):
            continue
        with contextlib.suppress(OSError, ValueError):
            for number in range(min(int(note.read_text(encoding="ascii")), MAX_NOTED)):
                _remove(name_of(pid, number))
            note.unlink(missing_ok=True)


def _new_memory(name: str, size: int) -> _Memory:
    """Make shared memory, all of it at once.

    A system that lacks it later ends the process that writes there (SIGBUS).
    """
    memory = None
    try:
        memory = _Memory(name, create=True, size=size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(memory._fd, 0, size)  # type: ignore[attr-defined]  # no other way to its file
    except OSError as error:
        if memory is not None:
            memory.unlink()
        raise InputError(f"no shared memory of {size / 2**20:.0f} MB ({error.strerror})", hint=NO_MEMORY) from None
    return memory


def _remove(memory_name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        memory = SharedMemory(memory_name)
        memory.unlink()
        memory.close()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _close(memory: SharedMemory) -> bool:
    """Close memory unless arrays lie in it; return whether it is closed."""
    try:
        memory.close()
    except BufferError:
        return False
    return True
