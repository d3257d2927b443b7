"""Formats of pictures, by the ending of a file's name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfstorm.errors import InputError
from selfstorm.io import ome_tiff
from selfstorm.io.ome_tiff import RECORD_KEYS, OmeTiffWriter
from selfstorm.io.ome_zarr_writer import OmeZarrWriter
from selfstorm.io.picture_file import PictureFile
from selfstorm.io.regular_file import read_regular

WRITERS: dict[str, Callable[..., PictureFile]] = {
    ".tif": OmeTiffWriter,
    ".tiff": OmeTiffWriter,
    ".zarr": OmeZarrWriter,
}


def check_picture_format(path: Path, where: object) -> None:
    """Raise InputError where the name has the ending of no format."""
    if path.suffix.lower() not in WRITERS:
        raise InputError(f"'{path.suffix}' is no format for pictures", where=where, hint="name it .ome.tif or .zarr")


def picture_writer(path: Path, pixel_nm: float | None, *, overwrite: bool = False) -> PictureFile:
    """Open a file of pictures; the ending, of `WRITERS`, chooses the format.

    Args:
        path: of the file or folder.
        pixel_nm: pixel of the pictures; None where it is not known.
        overwrite: replace one that exists.
    """
    return WRITERS[path.suffix.lower()](path, pixel_nm, overwrite=overwrite)


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the records of pictures without their pixels.

    Returns [] where there are none, or another program's.
    """
    if path.is_file():
        return ome_tiff.read_records(path)
    try:
        records = json.loads(read_regular(path / "zarr.json", "give pictures"))["attributes"]["selfstorm"]["records"]
        return records if all(RECORD_KEYS & set(record) for record in records) else []
    except (InputError, OSError, ValueError, LookupError, TypeError):
        return []
