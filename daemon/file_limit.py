"""Limit of open files: each connection takes one, and the default of 1,024 is soon used up by port scanners."""

from __future__ import annotations

import contextlib

WANTED_FILES = 65_536


def raise_file_limit() -> None:
    """Allow this process and its children as many open files as the system permits; on Windows there is no limit."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
