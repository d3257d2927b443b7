"""Open a saved movie.

It is an OME-TIFF of the daemon or of this viewer, or any stack of grey images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from client.picture.pictures import FileRecord, Picture, PicturePair
from client.timeline.history import History
from daemon.protocol.messages import PictureHeader
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import read_pictures

MAX_BYTES = 4 * 2**30
GB = 1e9
OFFLINE_KEYS = {"first_frame": "first_seq", "last_frame": "last_seq"}  # as `selfstorm reconstruct` writes them
PROVENANCE = ("software", "command", "movie")


def open_movie(path: Path) -> History:
    """Read all pictures of a file into a history, without raw means.

    Raises:
        InputError: The file cannot be read or is too large.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot be opened ({error.strerror})", where=path) from None
    if size > MAX_BYTES:
        what = f"the file has {size / GB:.1f} GB; the viewer opens at most {MAX_BYTES / GB:.1f} GB"
        raise InputError(what, where=path, hint="open it in Fiji as a virtual stack")
    movie = read_pictures(path)
    known = len(movie.records) == len(movie.pictures)
    history = History(limit_bytes=2 * MAX_BYTES)
    for number, pixels in enumerate(movie.pictures):
        pixels.flags.writeable = False
        record = movie.records[number] if known else {}
        header, file = _described(record, path.name, number, pixels.shape, movie.pixel_nm)
        history = history.add(PicturePair(Picture(header, pixels, 0.0, bool(record.get("preview")), file), None))
    return history


def _described(
    record: dict[str, Any], name: str, number: int, shape: tuple[int, ...], pixel_nm: float | None
) -> tuple[PictureHeader, FileRecord]:
    """Return a picture's metadata, where the file states them.

    A field that is missing or invalid has its default, and is named as absent.
    """
    stated = {field: record[field] for field in PictureHeader.model_fields if record.get(field) is not None}
    stated |= {field: record[key] for key, field in OFFLINE_KEYS.items() if key in record}
    if pixel_nm is not None:
        stated.setdefault("pixel_nm", pixel_nm)
    stated["shape"] = list(shape)
    default = {"run": name[:64], "window": number, "stream": "", "first_seq": number, "last_seq": number, "frames": 1}
    default["published_unix_ns"] = 0
    try:
        header = PictureHeader.model_validate_json(json.dumps({**default, **stated}))
    except ValidationError as error:
        invalid = {str(one["loc"][0]) for one in error.errors() if one["loc"]} or set(stated)
        stated = {field: value for field, value in stated.items() if field not in invalid} | {"shape": list(shape)}
        header = PictureHeader.model_validate_json(json.dumps({**default, **stated}))
    lines = tuple(f"{key}: {record[key]}" for key in PROVENANCE if isinstance(record.get(key), str) and record[key])
    return header, FileRecord(lines, frozenset(PictureHeader.model_fields) - set(stated))
