"""The `selfstorm` command with its subcommands."""

from __future__ import annotations

from importlib.metadata import version

import click

from selfstorm.commands import console
from selfstorm.commands.batch import batch
from selfstorm.commands.benchmark import benchmark
from selfstorm.commands.calibrate import calibrate
from selfstorm.commands.convert import convert
from selfstorm.commands.evaluate import evaluate
from selfstorm.commands.info import info
from selfstorm.commands.reconstruct import reconstruct
from selfstorm.commands.report import report
from selfstorm.commands.simulate import simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("selfstorm"))
def cli() -> None:
    """Super-resolved pictures from movies of blinking emitters.

    What it needs to know of the microscope is learned from the movie alone.
    """


for command in (reconstruct, batch, simulate, evaluate, benchmark, calibrate, convert, info, report):
    cli.add_command(command)


def main() -> None:
    """Run `selfstorm` and leave the process with its exit code."""
    console.run(cli)
