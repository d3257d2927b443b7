"""Names of exported files: date, sample, run and window. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from client.picture.grade import grade_text
from client.picture.pictures import Picture, PicturePair
from daemon.protocol.findings import picture_verdict

RUN_CHARACTERS = 6
MAX_SAMPLE_CHARACTERS = 60
NOT_IN_NAMES = re.compile(r"[^\w.-]+")


def file_stem(picture: Picture, sample: str = "") -> str:
    """Name a picture's file without suffix.

    For example '20261127-1712_cell3_1a2b3c_window70'.
    """
    preview = "-preview" if picture.preview else ""
    return _stem(picture, sample, f"window{picture.header.window}{preview}")


def movie_stem(pairs: Sequence[PicturePair], sample: str = "") -> str:
    """Name the file of several windows, without suffix, by the last's time."""
    first, last = pairs[0].sr, pairs[-1].sr
    return _stem(last, sample, f"windows{first.header.window}-{last.header.window}")


def _stem(picture: Picture, sample: str, windows: str) -> str:
    header = picture.header
    taken = f"{datetime.fromtimestamp(header.published_unix_ns / 1e9):%Y%m%d-%H%M}" if header.published_unix_ns else ""
    if picture.file is not None and "run" in picture.file.absent:  # it has the name of the file in its place
        run = plain(header.run.partition(".")[0])[:MAX_SAMPLE_CHARACTERS]
    else:
        run = plain(header.run)[:RUN_CHARACTERS]
    return "_".join(filter(None, (taken, plain(sample)[:MAX_SAMPLE_CHARACTERS], run, windows)))


def plain(text: str) -> str:
    """Replace what a file name cannot have on every system by '-'."""
    return NOT_IN_NAMES.sub("-", text).strip("-.")


def sample_of(source: str) -> str:
    """Take the name of the sample from a recording's address.

    For example 'cell3' of 'replay:///data/cell3.ome.tif'. Empty for any other address.
    """
    name = PurePosixPath(unquote(urlsplit(source).path)).name
    stem, dot, _ = name.partition(".")
    return stem if dot else ""


def caption(pair: PicturePair, sample: str = "") -> str:
    """Describe a picture in one line: sample, window, time, grade, verdict."""
    header = pair.sr.header
    taken = datetime.fromtimestamp(header.published_unix_ns / 1e9) if header.published_unix_ns else None
    judged = picture_verdict(header)
    verdict = f"verdict: {judged.value}" if judged is not None else ""
    time = f"{taken:%Y-%m-%d %H:%M:%S}" if taken else ""
    parts = (sample, f"window {header.window}", time, grade_text(pair), verdict)
    return "  ·  ".join(filter(None, parts))
