"""Command line of selfstorm-viewer.

Qt is loaded only once the arguments are valid.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from daemon.protocol.address import DaemonAddress
from daemon.protocol.address_option import daemon_option
from daemon.transport.client_socket import load_key
from selfstorm.commands.console import run
from selfstorm.errors import InputError


def main() -> None:
    """Run selfstorm-viewer."""
    run(viewer)


key_option = click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Key file for a daemon on another machine; create it there with: selfstorm-daemon keys new NAME.",
)


@click.command("selfstorm-viewer", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("movie", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@daemon_option
@key_option
@click.option(
    "--screenshot",
    metavar="FILE.png",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save a picture of the viewer's window after --after-windows windows, then quit.",
)
@click.option(
    "--after-windows",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of windows to show before the screenshot.",
)
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=60.0,
    show_default=True,
    help="Save the screenshot after this time in any case; the exit code is then 1.",
)
def viewer(
    movie: Path | None,
    daemon: DaemonAddress,
    key: Path | None,
    screenshot: Path | None,
    after_windows: int,
    timeout_s: float,
) -> int:
    """Show super-resolved pictures of a running daemon beside the raw data.

    With MOVIE, open a saved movie instead (OME-TIFF, as written by the daemon's --save).
    """
    if key is not None:
        load_key(key)  # before Qt is loaded, so that a mistake is reported at once
    if screenshot is not None and not screenshot.absolute().parent.is_dir():
        raise InputError("the folder for the screenshot does not exist", where=screenshot)
    try:
        # PySide6 first: without it pyqtgraph fails with an error of its own, or picks another Qt.
        import PySide6.QtWidgets  # noqa: F401

        from client.application import watch
    except ImportError as error:
        raise _not_loaded(error) from error
    return watch(replace(daemon, key=key), movie, screenshot, after_windows, timeout_s)


def _not_loaded(error: ImportError) -> InputError:
    missing = (error.name or "").split(".")[0]
    if isinstance(error, ModuleNotFoundError) and missing in ("PySide6", "pyqtgraph"):
        return InputError(f"the viewer needs {missing}", hint='install it: pip install "selfstorm[viewer]"')
    return InputError(f"the viewer's libraries cannot be loaded: {error}", hint='run: pip install "selfstorm[viewer]"')
