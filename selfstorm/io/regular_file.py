"""Regular files: no pipe and no device, which may have no end."""

from __future__ import annotations

import os
from pathlib import Path

from selfstorm.errors import InputError

MAX_TEXT_BYTES = 2**26  # of a configuration or a description


def check_regular(path: Path, hint: str) -> None:
    """Refuse what is there and is neither a file nor a folder.

    Raises:
        InputError: opening or reading it could wait for ever.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise InputError("is not a file", where=path, hint=hint)
    except (OSError, ValueError):  # a name that no file can have, which its reader refuses
        return


def read_regular(path: Path, hint: str, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Read a small file that a user or another program wrote.

    Raises:
        InputError: it is a pipe or a device, or too large.
        OSError: it cannot be read.
    """
    check_regular(path, hint)
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise InputError(f"has more than {max_bytes:,} bytes", where=path, hint=hint)
        return file.read()
