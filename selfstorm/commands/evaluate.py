"""`selfstorm evaluate`: the scores of pictures against a ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from selfstorm.commands.microscope_options import Microscope
from selfstorm.errors import InputError


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="frame,y_nm,x_nm (.csv or .csv.gz)")
@click.option("--pixel-nm", type=click.FloatRange(0.1, 10_000), help="Pixel of the picture; else from metadata.")
@click.option(
    "--frames", metavar="FIRST:LAST", help="Truth frames to compare with; else those in the picture's metadata, or all."
)
def evaluate(picture: Path, truth: Path, pixel_nm: float | None, frames: str | None) -> None:
    """Score PICTURE against the TRUTH, one line per window.

    The scores are Pearson, PSNR, SSIM and ground-truth FRC.
    """
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
        inside = emitters[(emitters[:, 0] >= first) & (emitters[:, 0] <= last)]
        if not len(inside):
            raise InputError(f"no emitter in frames {first} to {last}", where=truth, hint="give --frames FIRST:LAST")
        score = score_picture(image, inside[:, 1:3], pixel_nm)
        click.echo(
            f"{index:<7} {f'{first}-{last}':<13} {score.pearson:<8.4f} {score.psnr_db:<8.2f} {score.ssim:<7.4f}"
            f" {score.gt_frc_nm:.1f}"
        )


def _truth_frames(given: str | None, record: dict[str, Any], emitters: Any) -> tuple[int, int]:
    """Return first and last truth frame of a picture.

    As given on the command line, by the picture's record, or all.
    """
    if given is not None:
        first, _, last = given.partition(":")
        if not (first.isdecimal() and last.isdecimal()):
            raise click.UsageError(f"--frames takes FIRST:LAST, such as 0:99, not '{given}'.")
        return int(first), int(last)
    first_frame = record.get("first_frame", record.get("first_seq", 0))
    last_frame = record.get("last_frame", record.get("last_seq", emitters[:, 0].max()))
    return int(first_frame), int(last_frame)
