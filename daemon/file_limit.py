"""Limit of open files.

Each connection takes one, and port scanners soon use up the usual limit of 1,024.
"""

from __future__ import annotations

import contextlib

WANTED_FILES = 65_536


def raise_file_limit() -> None:
    """Allow as many open files as the system permits.

    The limit holds for this process and its children; on Windows there is none.
    """
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
