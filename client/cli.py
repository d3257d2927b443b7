"""selfstorm-viewer: opens the window. Qt comes last, so that a mistake on the command line costs nothing."""

from __future__ import annotations

from pathlib import Path

import click

from client.address import DEFAULT, Target, address_error
from daemon.transport.client_socket import load_key
from selfstorm.commands.console import run
from selfstorm.errors import InputError


def main() -> None:
    """ActionSpec point."""
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
    help="Where the daemon publishes its results.",
)
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The key for a daemon on another machine, made there: selfstorm-daemon keys new NAME.",
)
@click.option(
    "--control",
    metavar="ENDPOINT",
    default="",
    callback=_endpoint,
    help="Where the daemon takes requests; one port above --connect if not given.",
)
@click.option(
    "--screenshot",
    metavar="FILE.png",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the whole window once enough windows were shown, and quit.",
)
@click.option(
    "--after-windows",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many windows are enough for the screenshot.",
)
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=60.0,
    show_default=True,
    help="Save the screenshot after this long in any case, and leave with exit code 1.",
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
    """Watch a running selfstorm-daemon: the super-resolved picture beside the raw mean of the same frames.

    With MOVIE, look at a saved movie instead (OME-TIFF, as the daemon's --save writes it).
    """
    if key is not None:
        load_key(key)  # before Qt: a mistake costs nothing
    if screenshot is not None and not screenshot.absolute().parent.is_dir():
        raise InputError("the folder for the screenshot is not there", where=screenshot)
    try:
        # PySide6 first: without it pyqtgraph fails with an error of its own, or picks another Qt.
        import PySide6.QtWidgets  # noqa: F401

        from client.application import watch
    except ImportError as error:
        raise _not_loaded(error) from error
    return watch(Target(connect, control, key), movie, screenshot, after_windows, timeout_s)


def _not_loaded(error: ImportError) -> InputError:
    missing = (error.name or "").split(".")[0]
    if isinstance(error, ModuleNotFoundError) and missing in ("PySide6", "pyqtgraph"):
        return InputError(f"the viewer needs {missing}", hint='install it: pip install "selfstorm[viewer]"')
    return InputError(f"the window's libraries cannot be loaded: {error}", hint='see pip install "selfstorm[viewer]"')
