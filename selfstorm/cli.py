"""The `selfstorm` command: reconstruct, simulate, evaluate, benchmark."""

from __future__ import annotations

from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from selfstorm.commands import console
from selfstorm.commands.benchmark import benchmark
from selfstorm.commands.microscope_options import Microscope
from selfstorm.commands.reconstruct import reconstruct
from selfstorm.errors import InputError
from selfstorm.io.atomic_files import atomic_write


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("selfstorm"))
def cli() -> None:
    """Super-resolved pictures from movies of blinking emitters, learned from the movie alone."""


cli.add_command(reconstruct)
cli.add_command(benchmark)


def _scene_options(command: Any) -> Any:
    """An option for every number of a Scene, named like it."""
    from selfstorm.simulation.scene import Scene

    for field in reversed(fields(Scene)):
        if isinstance(field.default, int | float) or field.default is None:
            kind = int if isinstance(field.default, int) else float
            name = "--" + field.name.replace("_", "-")
            command = click.option(name, type=kind, default=field.default, show_default=True)(command)
    return command


@cli.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="MOVIE.ome.tif")
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="TRUTH.csv: frame,y_nm,x_nm,photons")
@click.option("--frames", type=click.IntRange(1), default=400, show_default=True)
@_scene_options
def simulate(output: Path, truth: Path, frames: int, **scene: Any) -> None:
    """Simulate a movie of a living cell, and where every emitter was."""
    from selfstorm.io.ome_tiff import OmeTiffWriter
    from selfstorm.io.truth import TruthWriter
    from selfstorm.simulation.movie import simulate as movie
    from selfstorm.simulation.scene import Scene

    shots = movie(Scene(**scene), frames=frames)
    with (
        atomic_write(truth) as part,
        OmeTiffWriter(output, scene["pixel_nm"]) as writer,
        TruthWriter(part) as emitters,
        click.progressbar(shots, length=frames, label="simulating") as progress,
    ):
        for pixels, where in progress:
            writer.add(pixels)
            emitters.append(where)
    click.echo(f"wrote {output} and {truth}")


@cli.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="frame,y_nm,x_nm (.csv or .csv.gz)")
@click.option("--pixel-nm", type=click.FloatRange(0.1, 10_000), help="Pixel of the picture; else from metadata.")
@click.option(
    "--frames", metavar="FIRST:LAST", help="Truth frames to compare with; else what the picture says, or all."
)
def evaluate(picture: Path, truth: Path, pixel_nm: float | None, frames: str | None) -> None:
    """Score PICTURE against the TRUTH: Pearson, PSNR, SSIM, ground-truth FRC. A line for every window."""
    from selfstorm.io.ome_tiff import read_pictures
    from selfstorm.io.truth import read_truth
    from selfstorm.metrics.ground_truth import score_picture

    file = read_pictures(picture)
    pixel_nm = Microscope(pixel_nm).pixel_nm_or(file.pixel_nm, picture)
    emitters = read_truth(truth)
    click.echo("window  frames        pearson  psnr_db  ssim    gt_frc_nm")
    for index, image in enumerate(file.pictures):
        record = file.records[index] if index < len(file.records) else {}
        first, last = _truth_frames(frames, record, emitters)
        seen = emitters[(emitters[:, 0] >= first) & (emitters[:, 0] <= last)]
        if not len(seen):
            raise InputError(f"no emitter in frames {first} to {last}", where=truth, hint="give --frames FIRST:LAST")
        score = score_picture(image, seen[:, 1:3], pixel_nm)
        click.echo(
            f"{index:<7} {f'{first}-{last}':<13} {score.pearson:<8.4f} {score.psnr_db:<8.2f} {score.ssim:<7.4f}"
            f" {score.gt_frc_nm:.1f}"
        )


def _truth_frames(asked: str | None, record: dict[str, Any], emitters: Any) -> tuple[int, int]:
    """First and last truth frame that belong to a picture: as asked, as its file says, or all."""
    if asked is not None:
        first, _, last = asked.partition(":")
        if not (first.isdecimal() and last.isdecimal()):
            raise click.UsageError(f"--frames takes FIRST:LAST, such as 0:99, not '{asked}'.")
        return int(first), int(last)
    first_frame = record.get("first_frame", record.get("first_seq", 0))
    last_frame = record.get("last_frame", record.get("last_seq", emitters[:, 0].max()))
    return int(first_frame), int(last_frame)


def main() -> None:
    """Entry point of `selfstorm`."""
    console.run(cli)
