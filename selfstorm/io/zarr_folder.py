"""OME-Zarr folders that are replaced: only those that this program wrote.

No picture is lost where the new one cannot be named: the old folder is renamed first and removed last.
"""

from __future__ import annotations

import json
import os
import shutil
from itertools import count
from pathlib import Path

from selfstorm.errors import InputError
from selfstorm.io.regular_file import read_regular

GROUP, CONTENT = "zarr.json", frozenset({"zarr.json", "0", "1"})
HINT = "name another folder"


def check_replaceable(folder: Path) -> None:
    """Refuse to replace a folder with anything but our pictures.

    Raises:
        InputError: it is another program's, or there is something else in it.
    """
    try:
        ours = "selfstorm" in json.loads(read_regular(folder / GROUP, HINT))["attributes"]
        others = sorted({one.name for one in folder.iterdir()} - CONTENT)
    except (OSError, InputError, ValueError, LookupError, TypeError, RecursionError):
        ours, others = False, []
    if not ours or folder.is_symlink():
        raise InputError("is no OME-Zarr of this program and is not replaced", where=folder, hint=HINT)
    if others:
        raise InputError(f"has {others[0]!r} in it and is not replaced", where=folder, hint=HINT)


def name_folder(part: Path, folder: Path, *, overwrite: bool) -> None:
    """Give a complete folder its name, in place of one that may be replaced.

    Raises:
        InputError: the name has been taken, by what may not be replaced.
        OSError: the system refuses; nothing is lost.
    """
    old = None
    if overwrite and folder.exists():
        check_replaceable(folder)
        aside = (folder.with_name(f"{folder.name}.old{number}") for number in count(1))
        old = folder.rename(next(one for one in aside if not os.path.lexists(one)))
    try:
        part.rename(folder)  # a folder with content is never replaced
    except OSError:
        if old is not None:
            old.rename(folder)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
