"""TOML files that a user writes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from selfstorm.errors import InputError
from selfstorm.io.regular_file import read_regular


def read_toml(path: Path, hint: str) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: Of the file.
        hint: Names an example, where there is no such file.

    Raises:
        InputError: The file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(read_regular(path, hint).decode("utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", where=path, hint=hint) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"is not TOML: {error}", where=path, hint="correct that line") from None
