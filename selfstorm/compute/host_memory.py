"""Memory of this computer."""

from __future__ import annotations

import ctypes
import os
import sys


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("free_and_file_sizes", ctypes.c_uint64 * 6),
    )


def host_bytes() -> int | None:
    """Return the bytes of this computer's memory; None where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _windows_bytes()


def return_freed_memory() -> None:
    """Return freed memory that the C library keeps to the system.

    glibc keeps gaps between arrays that are still there: some 200 MB where the maps of a large field follow the
    statistics of its frames. Other libraries have no such function, and nothing is done.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _windows_bytes() -> int | None:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    windows = getattr(ctypes, "windll", None)
    if windows is None or not windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.total)
