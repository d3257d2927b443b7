"""`selfstorm benchmark`: the benchmarks of the source tree."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from selfstorm.errors import InputError

TOOLS = Path(__file__).parents[2] / "tools"


class _SourceTreeCommand(click.Command):
    """A command with the options of tools/benchmarks, loaded when called."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # pragma: no cover - click calls make_context of subcommands
        return _load().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        return _load().make_context(*args, **kwargs)


def _load() -> click.Command:
    """Import the benchmarks; raise InputError without the source tree."""
    if not (TOOLS / "benchmarks").is_dir():
        raise InputError(
            "the benchmarks are not part of the installed package",
            where="selfstorm benchmark",
            hint="run it from a copy of the source tree, with python tools/dev.py install",
        )
    if str(TOOLS) not in sys.path:
        sys.path.append(str(TOOLS))
    from benchmarks.command import benchmark as command

    return command


benchmark = _SourceTreeCommand("benchmark", short_help="Compare with other methods, or measure speed and streaming.")
