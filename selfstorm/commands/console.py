"""How the three commands talk to a terminal: a user's mistake is one line and exit code 2, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import distributions

import click

from selfstorm.errors import InputError

USER_ERROR = 2
INTERRUPTED = 130
# Other distributions use these import names; the later one installed overwrites files of the earlier.
SHARED_NAMES = ("daemon", "client")


def run(command: click.Command, arguments: Sequence[str] | None = None) -> None:
    """Run a click command and leave the process with its exit code."""
    for name, others in _owners_beside_us().items():
        fail(f"{', '.join(others)} has a package '{name}' too: install selfstorm into an environment of its own")
    try:
        code = command.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        sys.exit(USER_ERROR)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else command.name
        fail(f"{error.format_message()} Run '{path} --help' for what it takes.")
    except click.ClickException as error:
        fail(error.format_message())
    except InputError as error:
        fail(str(error))
    sys.exit(code if isinstance(code, int) else 0)


def _owners_beside_us() -> dict[str, list[str]]:
    """Names of the other installed distributions that bring a package of a shared name, for each that any brings.

    importlib.metadata's packages_distributions() says it too, and takes a quarter of a second with torch installed.
    """
    owners: dict[str, set[str]] = {name: set() for name in SHARED_NAMES}
    for one in distributions():
        listed, files = (one.read_text("top_level.txt") or "").split(), "\n" + (one.read_text("RECORD") or "")
        for name, its in owners.items():
            if name in listed or f"\n{name}/" in files:
                its.add(one.name)
    return {name: sorted(others) for name, its in owners.items() if (others := its - {"selfstorm"})}


def fail(line: str) -> None:
    """Say what is wrong on one line of standard error and leave with exit code 2."""
    click.echo(f"error: {' '.join(line.split())}", err=True)
    sys.exit(USER_ERROR)
