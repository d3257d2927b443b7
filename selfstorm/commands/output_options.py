"""The option that lets a command replace its earlier outputs."""

from __future__ import annotations

import click

overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace outputs that exist. An input is never replaced."
)
