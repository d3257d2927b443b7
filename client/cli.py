"""Command line of selfstorm-viewer.

Qt is loaded only once the arguments are valid.
"""

from __future__ import annotations

from pathlib import Path

import click

from client.address import DEFAULT, DaemonAddress, address_error
from daemon.transport.client_socket import load_key
from selfstorm.commands.console import run
from selfstorm.errors import InputError


def main() -> None:
    """Run selfstorm-viewer."""
    run(viewer)


def _endpoint(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value and (wrong := address_error(value)):
        raise click.BadParameter(wrong)
    return value


@click.command("selfstorm-viewer")
@click.argument("movie", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--connect",
    metavar="ENDPOINT",
    default=DEFAULT,
    show_default=True,
    callback=_endpoint,
    help="Address of the daemon's results.",
)
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Key file for a daemon on another machine; create it there with: selfstorm-daemon keys new NAME.",
)
@click.option(
    "--control",
    metavar="ENDPOINT",
    default="",
    callback=_endpoint,
    help="Control address of the daemon; by default the port after that of --connect.",
)
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
    connect: str,
    key: Path | None,
    control: str,
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
    return watch(DaemonAddress(connect, control, key), movie, screenshot, after_windows, timeout_s)


def _not_loaded(error: ImportError) -> InputError:
    missing = (error.name or "").split(".")[0]
    if isinstance(error, ModuleNotFoundError) and missing in ("PySide6", "pyqtgraph"):
        return InputError(f"the viewer needs {missing}", hint='install it: pip install "selfstorm[viewer]"')
    return InputError(f"the viewer's libraries cannot be loaded: {error}", hint='run: pip install "selfstorm[viewer]"')
