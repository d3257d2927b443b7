"""The `selfstorm` command: reconstruct, simulate, evaluate, benchmark."""

from __future__ import annotations

from importlib.metadata import version

import click

from selfstorm.commands import console
from selfstorm.commands.benchmark import benchmark
from selfstorm.commands.evaluate import evaluate
from selfstorm.commands.reconstruct import reconstruct
from selfstorm.commands.simulate import simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("selfstorm"))
def cli() -> None:
    """Super-resolved pictures from movies of blinking emitters, learned from the movie alone."""


for command in (reconstruct, simulate, evaluate, benchmark):
    cli.add_command(command)


def main() -> None:
    """Run `selfstorm` and leave the process with its exit code."""
    console.run(cli)
