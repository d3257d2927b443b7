"""`selfstorm simulate`: a movie of a living cell with its ground truth."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click

from selfstorm.commands.output_options import overwrite_option
from selfstorm.io.atomic_files import atomic_write, check_outputs


def _scene_options(command: Any) -> Any:
    """Add an option for each number and choice of a Scene."""
    from selfstorm.simulation.scene import Scene

    explained, types = attribute_texts(Scene), get_type_hints(Scene)
    for field in reversed(fields(Scene)):
        kind: Any = click.Choice(get_args(types[field.name])) if isinstance(field.default, str) else None
        if isinstance(field.default, int | float) or field.default is None:
            kind = int if isinstance(field.default, int) else float
        if kind is not None:
            name = "--" + field.name.replace("_", "-")
            option = click.option(
                name, type=kind, default=field.default, show_default=True, help=explained.get(field.name)
            )
            command = option(command)
    return command


def attribute_texts(described: type) -> dict[str, str]:
    """Read the sentences on a class's attributes in its docstring."""
    lines = (inspect.getdoc(described) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    texts = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", lines, re.MULTILINE)
    return {name: _sentence(" ".join(text.split())) for name, text in texts}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="MOVIE.ome.tif")
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="TRUTH.csv: frame,y_nm,x_nm,photons")
@click.option("--frames", type=click.IntRange(1), default=400, show_default=True, help="Number of frames.")
@overwrite_option
@_scene_options
def simulate(output: Path, truth: Path, frames: int, overwrite: bool, **scene: Any) -> None:
    """Simulate a movie of a living cell, with every emitter's position."""
    from selfstorm.io.ome_tiff import OmeTiffWriter
    from selfstorm.io.truth import TruthWriter
    from selfstorm.simulation.movie import simulate as simulated_frames
    from selfstorm.simulation.scene import Scene

    check_outputs({"-o": output, "--truth": truth}, overwrite=overwrite)
    movie = simulated_frames(Scene(**scene), frames=frames)
    with (
        atomic_write(truth, overwrite=overwrite) as part,
        OmeTiffWriter(output, scene["pixel_nm"], overwrite=overwrite) as writer,
        TruthWriter(part) as table,
        click.progressbar(movie, length=frames, label="simulating") as progress,
    ):
        for pixels, emitters in progress:
            writer.add(pixels)
            table.append(emitters)
    click.echo(f"wrote {output} and {truth}")
