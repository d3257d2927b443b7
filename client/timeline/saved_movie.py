"""Open a saved movie.

It is an OME-TIFF of the daemon or of this viewer, or any stack of grey images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from client.picture.pictures import Picture, PicturePair
from client.timeline.history import History
from daemon.protocol.messages import PictureHeader
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import read_pictures

MAX_BYTES = 4 * 2**30
GB = 1e9


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
        header = _header(record, path.name, number, pixels.shape, movie.pixel_nm)
        history = history.add(PicturePair(Picture(header, pixels, 0.0, bool(record.get("preview"))), None))
    return history


def _header(
    record: dict[str, Any], name: str, number: int, shape: tuple[int, ...], pixel_nm: float | None
) -> PictureHeader:
    """Return the metadata saved with the picture where it is valid.

    Otherwise return the number of the picture in the file.
    """
    height, width = shape
    try:
        return PictureHeader.model_validate_json(json.dumps({**record, "shape": [height, width]}))
    except ValidationError:
        return PictureHeader(
            run=name[:64],
            window=number,
            stream="",
            shape=(height, width),
            pixel_nm=pixel_nm,
            first_seq=number,
            last_seq=number,
            frames=1,
            published_unix_ns=0,
        )
