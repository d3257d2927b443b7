"""Argument of `selfstorm-daemon run`.

It is a configuration file, the name of a shipped one, or a recording to replay.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.config import Config, load, load_defaults
from daemon.sources.kinds import KINDS
from selfstorm.errors import InputError, MovieError
from selfstorm.io.atomic_files import atomic_write

CONFIG = ".toml"
INSTALLED = Path(__file__).parent / "configs"
SOURCE_TREE = Path(__file__).parents[1] / "configs"


def configuration(target: str, overrides: Mapping[str, Any]) -> Config:
    """Load the configuration that `run` is given.

    Args:
        target: A .toml file; a name such as 'simulate', of a configuration that comes with the program; or a recording.
        overrides: Dotted keys that win over the file's; None is ignored.

    Raises:
        InputError: Nothing of that name is there, or it is no valid configuration.
    """
    path = Path(target)
    if path.suffix.lower() == CONFIG:
        return load(path, overrides)
    shipped = {name: file for name, file in _shipped().items() if name in KINDS}
    if target in shipped:
        return load(shipped[target], overrides, anchor=Path())
    if path.exists():
        given = {key: value for key, value in overrides.items() if value is not None}
        return load_defaults({"source.uri": f"replay:{path}", **_pace(path, given), **given}, where=target)
    names = ", ".join(sorted(shipped))
    raise InputError(
        "no such configuration or recording", where=target, hint=f"give a .toml file, a movie, or one of: {names}"
    )


def copy_shipped(name: str, path: Path) -> None:
    """Copy a configuration of the program to a file of the user.

    Args:
        name: Such as 'micromanager'.
        path: Of the copy, with the ending .toml; nothing is replaced.

    Raises:
        InputError: There is no such configuration, or the file cannot be written.
    """
    shipped = _shipped()
    if name not in shipped:
        raise InputError("no such configuration", where=name, hint=f"choose one of: {', '.join(sorted(shipped))}")
    if path.suffix.lower() != CONFIG:
        raise InputError("would not be read as a configuration", where=path, hint=f"let its name end in {CONFIG}")
    if os.path.lexists(path):
        raise InputError("exists already", where=path, hint="choose another name")
    with atomic_write(path) as temporary:
        temporary.write_bytes(shipped[name].read_bytes())


def _pace(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that set the pace of a recording.

    It is played at its own times; where it has none, or all windows are wanted, it waits for the reconstruction.
    """
    from daemon.sources.replay import states_times  # readers of movies: no other target needs them

    if "source.uri" in given or given.get("lossless"):
        return {}
    try:
        return {"source.timing": "recorded"} if states_times(path) else {"lossless": True}
    except MovieError:
        return {}  # the source says what is wrong with it


def _shipped() -> dict[str, Path]:
    """Return the configurations that come with the program, by name.

    They are inside the wheel, or in the source tree.
    """
    folder = INSTALLED if INSTALLED.is_dir() else SOURCE_TREE
    return {file.stem: file for file in folder.glob("*.toml")}
