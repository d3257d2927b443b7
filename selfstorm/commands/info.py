"""`selfstorm info`: what a file is, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from selfstorm.errors import InputError, MovieError
from selfstorm.printable import printable

CHECKPOINT = ".safetensors"
METRICS = ("agreement", "resolution_nm", "misfit")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def info(file: Path) -> None:
    """Describe FILE: a movie, pictures, localizations or a saved model.

    Of what selfstorm wrote it shows the movie, command, model and metrics that it was made from.
    """
    for line in describe(file):
        click.echo(printable(line))


def describe(file: Path) -> Iterator[str]:
    """Describe a file in lines.

    Raises InputError where it is none of ours or a movie's.
    """
    from selfstorm.io.localization_table import FORMATS, format_of
    from selfstorm.io.regular_file import check_regular

    if not file.exists():
        raise InputError("no such file", where=file, hint="check the path")
    check_regular(file, "give a file of selfstorm, or a movie")
    if file.suffix.lower() == CHECKPOINT:
        return _model(file)
    if format_of(file) in FORMATS:
        return _table(file)
    return _pictures_or_movie(file)


def _pictures_or_movie(file: Path) -> Iterator[str]:
    from selfstorm.io.picture_formats import read_records

    records = read_records(file)
    return _pictures(file, records) if records else _movie(file)


def _pictures(file: Path, records: list[dict[str, Any]]) -> Iterator[str]:
    last = records[-1]
    yield f"{file}: {len(records)} picture(s) of selfstorm"
    for key in ("software", "command", "movie", "stream", "optics", "camera", "estimate", "state", "memory", "motion"):
        if last.get(key):
            yield f"{key}: {last[key]}"
    for index, record in enumerate(records):
        first, end = (record.get(f"{edge}_frame", record.get(f"{edge}_seq", "?")) for edge in ("first", "last"))
        yield f"picture {index}: frames {first}-{end}{_metrics(record)}"
        if record.get("verdict"):
            yield f"verdict: {record['verdict']}"
    notes = last.get("notes")
    yield from (f"note: {note}" for note in (notes if isinstance(notes, list) else ()))


def _metrics(record: dict[str, Any]) -> str:
    metrics = record.get("metrics") or {key: record.get(key) for key in METRICS}
    if not isinstance(metrics, dict):  # another program's
        return ""
    known = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    return "".join(f", {key} {value:.4g}" for key, value in known.items())


def _movie(file: Path) -> Iterator[str]:
    from selfstorm.io.movie_frames import MovieFrames
    from selfstorm.io.movies import MovieFile

    try:
        with MovieFile(file) as movie:
            lost = MovieFrames(movie).missing
            taken = movie.acquisition
            yield f"{file}: movie of {movie.length} frames, {movie.height} x {movie.width} pixels, {movie.dtype}"
            yield f"pixel: {f'{movie.pixel_nm:g} nm' if movie.pixel_nm else 'not stated'}"
            yield f"lost frames: {lost}"
            for name, value in (
                ("rate", f"{taken.rate_hz:.4g} Hz" if taken.rate_hz else ""),
                ("exposure", f"{taken.exposure_ms:g} ms" if taken.exposure_ms else ""),
                ("camera", taken.camera),
            ):
                if value:
                    yield f"{name}: {value}"
            for note in movie.notes:
                yield f"note: {note}"
    except MovieError as error:
        raise InputError(error.what, where=error.where, hint=error.hint) from None


def _table(file: Path) -> Iterator[str]:
    from selfstorm.io.localization_table import read_table

    table, of = read_table(file)
    yield f"{file}: {len(table)} localizations"
    if len(table):
        yield f"frames: {table.frame.min()}-{table.frame.max()}"
        yield f"precision: {float(sorted(table.sd_nm)[len(table) // 2]):.1f} nm (median)"
    if of is not None:
        yield f"movie: {of.frames} frames of {of.height} x {of.width} pixels of {of.pixel_nm:g} nm"
        yield from (f"{key}: {of.facts[key]}" for key in ("software", "command", "movie") if of.facts.get(key))


def _model(file: Path) -> Iterator[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as opened:
            facts = json.loads((opened.metadata() or {})["facts"])
        if not isinstance(facts, dict):
            raise ValueError("its description is none")
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise InputError(f"is no saved model of selfstorm ({error})", where=file) from None
    yield f"{file}: model learned from {facts.get('frames')} frames"
    yield from (f"{key}: {facts[key]}" for key in sorted(facts) if key not in ("frames", "format"))
