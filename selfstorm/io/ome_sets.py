"""OME-TIFF data sets in several files: one movie, named once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from selfstorm.errors import MovieError
from selfstorm.io.tiff_open import open_tiff

FILE_NAME = re.compile(r'FileName="([^"]+)"')
METADATA_FILE = re.compile(r'MetadataFile="([^"]+)"')
COMPANION = ".companion.ome"
MAX_COMPANION = 2**28  # characters


def first_of_sets(stacks: Sequence[Path]) -> list[Path]:
    """Leave out files that belong to the data set of an earlier one."""
    first: list[Path] = []
    others: set[Path] = set()
    for path in stacks:
        if path not in others:
            first.append(path)
            others.update(path.with_name(name) for name in _members(path))
    return first


def first_named_in(companion: Path) -> Path | None:
    """Return the first file that a companion file names, if it is there."""
    named = (companion.with_name(Path(name).name) for name in FILE_NAME.findall(_text(companion)))
    return next((path for path in named if path.is_file()), None)


def _members(path: Path) -> set[str]:
    """List the file names in the OME-XML of a TIFF, or of its companion file."""
    try:
        with open_tiff(path) as file:
            first = file.pages.first
            text = str(first.description) if first.is_ome else ""
    except (MovieError, OSError, IndexError):  # it is reported when it is opened as a movie
        return set()
    if (elsewhere := METADATA_FILE.search(text)) is not None:
        text = _text(path.with_name(Path(elsewhere[1]).name))
    return {Path(name).name for name in FILE_NAME.findall(text)}


def _text(path: Path) -> str:
    if not path.is_file() or path.suffix != ".ome":
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(MAX_COMPANION)
