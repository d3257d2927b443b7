"""The folders that are written to: whether they can be, how fast, and for how long."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from daemon.check.finding import Finding, ok, problem, warning

TRIAL_BYTES = 64 * 2**20
LEAST_ROOM_BYTES = 2**30
LEAST_MINUTES = 10.0
MB = 1e6


def folder(of: str, path: Path, bytes_per_s: float) -> Iterator[Finding]:
    """A folder that `bytes_per_s` are to be written into; 0 where that is not known."""
    place = _nearest(path)
    elsewhere = f"choose another folder for '{of}'"
    if not place.is_dir():
        yield problem(of, f"{place} is a file, not a folder", elsewhere)
        return
    try:
        room = shutil.disk_usage(place).free
        speed = _speed(place, min(TRIAL_BYTES, room // 4))
    except OSError as error:
        yield problem(of, f"{place} cannot be written to ({error.strerror})", elsewhere)
        return
    what = f"{path}: {room / 1e9:.1f} GB free, {speed / MB:.0f} MB/s"
    minutes = room / bytes_per_s / 60 if bytes_per_s else None
    if minutes is not None:
        what += f"; {bytes_per_s / MB:.1f} MB/s are to be written, for {minutes:.0f} minutes at most"
    if speed < 1.5 * bytes_per_s:
        yield problem(of, what, "too slow: use a faster disk, a smaller field or fewer frames a second")
    elif room < LEAST_ROOM_BYTES or (minutes is not None and minutes < LEAST_MINUTES):
        yield warning(of, what, "make room, or choose another disk")
    else:
        yield ok(of, what)


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there: the daemon makes the rest."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if place.exists()), path)


def _speed(place: Path, count: int) -> float:
    """Bytes a second on a file of `count` bytes, which is gone afterwards."""
    block = os.urandom(2**20)  # some disks are fast with zeros only
    with tempfile.TemporaryFile(dir=place) as file:
        start_s = time.perf_counter()
        for _ in range(max(1, count // len(block))):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return file.tell() / max(time.perf_counter() - start_s, 1e-6)
