"""Options that choose a movie in a file: its axes, frames and region."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from selfstorm.commands.option_group import Command, grouped_options

if TYPE_CHECKING:
    from selfstorm.io.movies import MovieFile

OPTIONS = (
    click.option("--select", "selected", multiple=True, metavar="AXIS=INDEX", help="Channel, z or position."),
    click.option("--frames", metavar="FIRST:LAST", help="Only these, as in 1000:3000: from 1000 up to 2999."),
    click.option("--region", metavar="Y,X,HEIGHT,WIDTH", help="Only this part of the field, camera pixels."),
)


@dataclass(frozen=True, slots=True)
class MovieChoice:
    """The part of a file that is the movie, as given on a command line."""

    selected: tuple[str, ...] = ()
    frames: str | None = None
    region: str | None = None

    def open(self, path: Path) -> MovieFile:
        """Open the movie. Raises MovieError, InputError or UsageError."""
        from selfstorm.io.movies import MovieFile
        from selfstorm.io.part_of_movie import parse_frames, parse_region

        frames = None if self.frames is None else parse_frames(self.frames)
        region = None if self.region is None else parse_region(self.region)
        return MovieFile(path, parse_selection(self.selected), frames, region)


def parse_selection(selected: tuple[str, ...]) -> dict[str, int | str]:
    """Read AXIS=INDEX pairs. Raises UsageError where one is something else."""
    pairs = [one.partition("=") for one in selected]
    if wrong := [one for one, pair in zip(selected, pairs, strict=True) if not (pair[0] and pair[2])]:
        raise click.UsageError(f"--select takes AXIS=INDEX, as in channel=0, not '{wrong[0]}'.")
    return {axis: int(place) if place.isdecimal() else place for axis, _, place in pairs}


def movie_options(command: Command) -> Command:
    """Add the options that choose a movie.

    The command receives them as `choice`.
    """
    return grouped_options(command, "choice", MovieChoice, OPTIONS)
