"""Terminal output of the three commands.

A user's mistake is one line and exit code 2, never a traceback.
"""

from __future__ import annotations

import atexit
import errno
import gc
import io
import sys
from collections.abc import Sequence
from importlib.metadata import distributions

import click

from selfstorm.errors import InputError
from selfstorm.printable import printable

USER_ERROR = 2
INTERRUPTED = 130
SHOWN_CHARACTERS = 100  # of a name that is too long
# Other distributions use these import names too; the one installed later overwrites files of the earlier.
SHARED_NAMES = ("daemon", "client")


def run(command: click.Command, arguments: Sequence[str] | None = None) -> None:
    """Run a click command and end the process with its exit code."""
    atexit.register(gc.freeze)  # the interpreter would search torch's objects for cycles once more: 1 s
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # the code page of a file or a pipe may not know µ or σ
    for name, others in _conflicting_distributions().items():
        fail(f"{', '.join(others)} also has a package '{name}': install selfstorm into an environment of its own")
    try:
        code = command.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        sys.exit(USER_ERROR)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else command.name
        fail(f"{error.format_message()} Run '{path} --help' for its options.")
    except click.ClickException as error:
        fail(error.format_message())
    except InputError as error:
        fail(*map(str, error.each))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        fail(f"{str(error.filename)[:SHOWN_CHARACTERS]}...: {error.strerror}; give the name of a file")
    sys.exit(code if isinstance(code, int) else 0)


def _conflicting_distributions() -> dict[str, list[str]]:
    """List other installed distributions with a package of a shared name.

    importlib.metadata.packages_distributions() does the same in a quarter of a second with torch installed.
    """
    owners: dict[str, set[str]] = {name: set() for name in SHARED_NAMES}
    for one in distributions():
        listed, files = (one.read_text("top_level.txt") or "").split(), "\n" + (one.read_text("RECORD") or "")
        for name, names in owners.items():
            if name in listed or f"\n{name}/" in files:
                names.add(one.name)
    return {name: sorted(others) for name, names in owners.items() if (others := names - {"selfstorm"})}


def print_note(text: str) -> None:
    """Print a remark on a line of standard error, made harmless."""
    click.echo(f"note: {printable(text)}", err=True)


def fail(*mistakes: str) -> None:
    """Print each mistake on one line of standard error and exit with code 2."""
    for mistake in mistakes:
        click.echo(f"error: {printable(' '.join(mistake.split()))}", err=True)
    sys.exit(USER_ERROR)
