"""Evidence in the pictures and localizations that a run saved."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import InputError
from selfstorm.io.localization_table import FORMATS, format_of, read_table
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import Pictures, read_pictures
from selfstorm.io.picture_formats import read_records
from selfstorm.report.camera_frames import NO_FRAMES, with_movie
from selfstorm.report.evidence import FrameAccount, RunEvidence, WindowRecord, drawable


def read_saved_pictures(path: Path) -> RunEvidence:
    """Read what a file of pictures says, and the files that it names.

    Raises:
        InputError: it holds no pictures of selfstorm.
    """
    records = read_records(path)
    if not records:
        raise InputError("holds no pictures of selfstorm", where=path, hint="give a manifest or pictures")
    last = records[-1]
    movie = _movie_of(path, last)
    table_path = _table_beside(path, last)
    evidence = with_picture(RunEvidence(path.name, tuple(map(window_of, records)), record=last), path)
    if movie is not None:
        evidence = with_movie(evidence, movie)
    else:
        evidence = replace(evidence, notes=(*evidence.notes, NO_FRAMES))
    account = counted(last)
    settings = [(key, last[key]) for key in ("command", "movie", "source", "stream", "device") if last.get(key)]
    software, _, number = str(last.get("software", "")).partition(" ")
    return replace(
        with_table(evidence, table_path),
        account=account or evidence.account,
        settings=tuple((key, str(value)) for key, value in settings),
        versions={software: number} if number else {},
    )


def window_of(record: Mapping[str, Any]) -> WindowRecord:
    """Read the record of one picture; what has another type is left out."""
    metrics = record.get("metrics")
    given = metrics if isinstance(metrics, dict) else {}
    first, last = (_whole(record.get(f"{edge}_frame", record.get(f"{edge}_seq"))) for edge in ("first", "last"))
    return WindowRecord(
        first or 0, last or 0, _whole(record.get("frames")), drawable(given), str(record.get("grade", ""))
    )


def with_picture(evidence: RunEvidence, path: Path) -> RunEvidence:
    """Add the newest picture of a file."""
    try:
        found = read_pictures(path) if path.is_file() else _of_zarr(path)
    except InputError as error:
        return replace(evidence, notes=(*evidence.notes, f"The picture cannot be read: {error}"))
    unit = str(evidence.record.get("unit", ""))
    picture = np.asarray(found.pictures[-1])
    pixel_nm = evidence.pixel_nm
    scale = _whole(evidence.record.get("scale"))
    if pixel_nm is None and found.pixel_nm and scale:
        pixel_nm = found.pixel_nm * scale
    return replace(
        evidence,
        picture=picture,
        picture_pixel_nm=found.pixel_nm,
        unit=unit,
        pixel_nm=pixel_nm,
        files=(*evidence.files, *([path] if path.is_file() else [])),
    )


def _of_zarr(path: Path) -> Pictures:
    with MovieFile(path) as movie:
        return Pictures(movie.frame(movie.length - 1)[None], movie.pixel_nm, [])


def with_table(evidence: RunEvidence, path: Path | None) -> RunEvidence:
    """Add the localizations of a file, if there is one."""
    if path is None:
        return evidence
    try:
        table = read_table(path)[0]
    except InputError as error:
        return replace(evidence, notes=(*evidence.notes, f"The localizations cannot be read: {error}"))
    return replace(evidence, table=table if len(table) else None, files=(*evidence.files, path))


def counted(record: Mapping[str, Any]) -> FrameAccount | None:
    """Return the daemon's own account, as of the newest picture."""
    counts = record.get("frame_counts")
    if not isinstance(counts, dict):
        return None
    sent, received, missing, rejected, at_source = (
        _whole(counts.get(key)) or 0 for key in ("sent", "received", "missing", "rejected", "lost_at_source")
    )
    causes = [f"{rejected} arrived but were rejected as damaged"] if rejected else []
    causes += (
        [f"{at_source} of the lost were lost before they were sent, in the camera or its buffer"] if at_source else []
    )
    return FrameAccount(sent, received, missing, "the run, until its newest picture", tuple(causes))


def _movie_of(path: Path, record: Mapping[str, Any]) -> Path | None:
    """Find the movie that pictures were made from."""
    movie = record.get("movie")
    if not isinstance(movie, str) or not movie:
        return None
    named = Path(movie)
    return next((place for place in (named, path.parent / named, path.parent / named.name) if exists(place)), None)


def _table_beside(path: Path, record: Mapping[str, Any]) -> Path | None:
    """Find the localizations of the command that made the pictures."""
    with suppress(ValueError):
        words = shlex.split(str(record.get("command", "")))
        named = [after for word, after in pairwise(words) if word == "--localizations"]
        for name in named:
            places = (path.parent / Path(name).name, path.parent / name, Path(name))
            return next((place for place in places if exists(place) and format_of(place) in FORMATS), None)
    return None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def exists(path: Path) -> bool:
    """Return whether there is such a file, of whatever name a record gives."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
