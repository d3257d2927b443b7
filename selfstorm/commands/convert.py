"""`selfstorm convert`: movies, pictures and tables in another format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from selfstorm.commands.console import print_note
from selfstorm.commands.movie_options import MovieChoice, movie_options
from selfstorm.commands.output_options import overwrite_option
from selfstorm.errors import InputError
from selfstorm.io.atomic_files import check_outputs

BLOCK_ROWS = 100_000


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@movie_options
@click.option("--pixel-nm", type=click.FloatRange(0.1, 10_000), help="Camera pixel; else from metadata.")
@click.option("--linked", is_flag=True, help="Tables: count an emitter in consecutive frames once.")
@click.option("--max-dark", type=click.IntRange(0, 100), default=0, show_default=True, help="Frames it may be dark.")
@overwrite_option
def convert(
    source: Path,
    target: Path,
    choice: MovieChoice,
    pixel_nm: float | None,
    linked: bool,
    max_dark: int,
    overwrite: bool,
) -> None:
    """Convert SOURCE to TARGET, by TARGET's ending.

    Movies and pictures become OME-TIFF (.ome.tif) or OME-Zarr (.zarr); localizations ThunderSTORM's CSV (.csv),
    Picasso's HDF5 (.hdf5) or the SMLM file format (.smlm). A table that a killed run left as NAME.part is completed.
    """
    from selfstorm.io.localization_table import FORMATS, format_of
    from selfstorm.io.picture_formats import check_picture_format

    if format_of(source) in FORMATS:
        rows = _convert_table(source, target, pixel_nm, max_dark if linked else None, overwrite=overwrite)
        click.echo(f"wrote {rows} {'emitters' if linked else 'localizations'} to {target}")
        return
    if linked:
        raise click.UsageError("--linked is for tables of localizations alone.")
    check_picture_format(target, target)
    click.echo(f"wrote {_convert_movie(source, target, choice, pixel_nm, overwrite=overwrite)} to {target}")


def _convert_movie(source: Path, target: Path, choice: MovieChoice, pixel_nm: float | None, *, overwrite: bool) -> str:
    from selfstorm.io.ome_tiff import read_pictures
    from selfstorm.io.picture_formats import picture_writer, read_records

    records = read_records(source)
    if len(records) == 1 and source.is_file():  # a movie has more than one frame
        check_outputs({"TARGET": target}, [source], overwrite=overwrite)
        one = read_pictures(source)
        with picture_writer(target, pixel_nm or one.pixel_nm, overwrite=overwrite) as writer:
            writer.add(one.pictures[0], records[0])
        return "one picture of {}x{}".format(*one.pictures.shape[1:])
    with choice.open(source) as movie:
        check_outputs({"TARGET": target}, movie.paths, overwrite=overwrite)
        pixel_nm = pixel_nm or movie.pixel_nm
        kept = len(records) == movie.length and choice == MovieChoice()
        writing = picture_writer(target, pixel_nm, overwrite=overwrite)
        with writing as writer, click.progressbar(range(movie.length)) as indices:
            for index in indices:
                writer.add(movie.frame(index), records[index] if kept else None)
        for note in movie.notes:
            print_note(note)
        return f"{movie.length} frames of {movie.height}x{movie.width}"


def _convert_table(source: Path, target: Path, pixel_nm: float | None, max_dark: int | None, *, overwrite: bool) -> int:
    from selfstorm.io.localization_table import TableInfo, check_format, read_table, side_files, table_writer

    check_outputs(
        {"TARGET": target, **{f"TARGET ({side.name})": side for side in side_files(target)}},
        [source, *(side for side in side_files(source) if side.exists())],
        overwrite=overwrite,
    )
    check_format(target)
    table, info = read_table(source)
    if info is None:
        if pixel_nm is None and target.suffix.lower() == ".hdf5":
            raise InputError("does not state the camera's pixel", where=source, hint="give it with --pixel-nm")
        side = pixel_nm or 1.0
        height, width = (int(nm.max() // side) + 1 if len(table) else 1 for nm in (table.y_nm, table.x_nm))
        frames = int(table.frame.max()) + 1 if len(table) else 1
        info = TableInfo(height, width, side, frames, {"movie": str(source)})
    if max_dark is not None:
        from selfstorm.stages.linking import linked

        table = linked(table, max_dark)
    info = replace(info, linked=table.frames is not None)
    with table_writer(target, info, overwrite=overwrite) as writer:
        for start in range(0, len(table), BLOCK_ROWS):
            writer.append(table.rows(start, start + BLOCK_ROWS))
    return len(table)
