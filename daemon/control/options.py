"""Options of every command that addresses a running daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from daemon.protocol.address_option import daemon_option

key_option = click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The key for a daemon beyond loopback, made with 'keys new'.",
)


def control_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command for a running daemon.

    The command gets `daemon`, an address, and `key`, a path or None.
    """
    return daemon_option(key_option(command))
