"""The option `--daemon` of every command that addresses a daemon."""

from __future__ import annotations

import click

from daemon.protocol.address import DEFAULT, USAGE, VARIABLE, DaemonAddress


def _address(_context: click.Context, _parameter: click.Parameter, text: str) -> DaemonAddress:
    return DaemonAddress.of(text)


daemon_option = click.option(
    "--daemon",
    metavar=USAGE,
    default=DEFAULT,
    show_default=True,
    envvar=VARIABLE,
    show_envvar=True,
    callback=_address,
    help="The daemon.",
)
