"""Regular files: no pipe and no device, which may have no end."""

from __future__ import annotations

from pathlib import Path

from selfstorm.errors import InputError


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
