"""Check the folders that are written to: permission, speed and free space."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from daemon.check.probes import ok, problem, warning
from selfstorm.metrics.finding import Finding

TRIAL_BYTES = 64 * 2**20
MIN_FREE_BYTES = 2**30
MIN_MINUTES = 10.0
MIN_SPEED_RATIO = 1.5  # of what is to be written
MB = 1e6


def folder(of: str, path: Path, bytes_per_s: float) -> Iterator[Finding]:
    """Check a folder.

    Args:
        of: What is written there, as in the configuration: "record", "save".
        path: The folder; it need not exist yet.
        bytes_per_s: Expected rate; 0 where that is not known.
    """
    existing = _nearest(path)
    elsewhere = f"choose another folder for '{of}'"
    if not existing.is_dir():
        yield problem(of, f"{existing} is a file, not a folder", elsewhere)
        return
    try:
        free = shutil.disk_usage(existing).free
        speed = _speed(existing, min(TRIAL_BYTES, free // 4))
    except OSError as error:
        yield problem(of, f"{existing} cannot be written to ({error.strerror})", elsewhere)
        return
    what = f"{path}: {free / 1e9:.1f} GB free, {speed / MB:.0f} MB/s"
    minutes = free / bytes_per_s / 60 if bytes_per_s else None
    if minutes is not None:
        what += f"; {bytes_per_s / MB:.1f} MB/s needed: enough for {minutes:.0f} minutes"
    if speed < MIN_SPEED_RATIO * bytes_per_s:
        yield problem(of, what, "too slow: use a faster disk, a smaller region or fewer frames per second")
    elif free < MIN_FREE_BYTES or (minutes is not None and minutes < MIN_MINUTES):
        yield warning(of, what, "free some space, or choose another disk")
    else:
        yield ok(of, what)


def _nearest(path: Path) -> Path:
    """Return the folder, or the nearest existing one above it."""
    path = path.absolute()
    return next((one for one in (path, *path.parents) if one.exists()), path)


def _speed(folder_path: Path, count: int) -> float:
    """Measure the speed of writing `count` bytes, in bytes per second."""
    block = os.urandom(2**20)  # some disks are fast only for zeros
    with tempfile.TemporaryFile(dir=folder_path) as file:
        start_s = time.perf_counter()
        for _ in range(max(1, count // len(block))):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return file.tell() / max(time.perf_counter() - start_s, 1e-6)
