"""Command `selfstorm-daemon`.

It runs the daemon, publishes frames, repeats runs, checks a machine, and sends requests to a running daemon.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import click

from daemon.cluster.command import cluster
from daemon.config import ServerSection, load
from daemon.control.commands import COMMANDS, account
from daemon.control.options import control_command
from daemon.feedback.command import hold_density
from daemon.file_limit import raise_file_limit
from daemon.keys.command import keys
from daemon.keys.loopback import from_elsewhere, is_loopback
from daemon.log_queue import LogQueue, SupportsWrite, log_through_queue
from daemon.preflight import check_can_run
from daemon.priority import lower_priority
from daemon.protocol.address import DEFAULT, DaemonAddress
from daemon.run_target import configuration, copy_shipped
from daemon.sources.kinds import usages
from daemon.sources.section import source_of
from daemon.stop_signals import StopSignals
from selfstorm.commands import console

FRAMES = "tcp://127.0.0.1:5710"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("selfstorm"))
def cli() -> None:
    """Reconstruct super-resolved pictures live from camera frames."""


@cli.command()
@click.argument("config")
@click.option("--source", help=usages())
@click.option("--pixel-nm", type=click.FloatRange(1, 10_000), help="Camera pixel in the sample, where nothing says it.")
@click.option("--record", type=click.Path(path_type=Path), help="Record the raw frames into this folder.")
@click.option("--save", type=click.Path(path_type=Path), help="Save the pictures as OME-TIFF.")
@click.option(
    "--accumulated",
    type=click.Path(path_type=Path),
    help="Save the picture of all frames, as OME-TIFF, when the run ends; a page for each scene.",
)
@click.option(
    "--localizations",
    type=click.Path(path_type=Path),
    metavar="OUT.csv|.hdf5|.smlm",
    help="Save the localizations, for ThunderSTORM, Picasso, or as SMLM file.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="Save the learned model to this file, and start from it if it exists.",
)
@click.option("--duration", "duration_s", type=click.FloatRange(0, min_open=True), help="Stop after this many seconds.")
@click.option("--lossless", is_flag=True, default=None, help="Let the source wait: no window is skipped.")
@click.option("--json", "as_json", is_flag=True, help="Print the final account as JSON, for programs.")
@click.option("-v", "--verbose", is_flag=True, help="Log every window.")
def run(
    config: str,
    source: str | None,
    pixel_nm: float | None,
    record: Path | None,
    save: Path | None,
    accumulated: Path | None,
    localizations: Path | None,
    checkpoint: Path | None,
    duration_s: float | None,
    lossless: bool | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Run the daemon.

    CONFIG is a .toml file, the name of a shipped one (such as simulate), or a recording to replay: at its own times, or
    without skipping a window where it has none. Options override its keys.
    """
    overrides = {
        "source.uri": source,
        "camera.pixel_nm": pixel_nm,
        "record": record,
        "save": save,
        "accumulated": accumulated,
        "localizations": localizations,
        "checkpoint": checkpoint,
        "duration_s": duration_s,
        "lossless": lossless,
    }
    settings = configuration(config, overrides)
    check_can_run(settings)
    from daemon.watch.status_line import StatusLine

    line = StatusLine(sys.stderr)
    log_queue = _log_events(verbose, line)
    raise_file_limit()
    if settings.source.runs_below_normal:
        lower_priority()
    from daemon.service import Service

    service = Service(settings)

    def started() -> None:
        click.echo(f"results on {settings.server.results}; watch with: {_viewer(settings.server)}")
        line.start(service.health.status)

    with line:
        final = service.run(started)
    click.echo(final.model_dump_json(indent=2) if as_json else account(final))
    if service.abandoned:
        log_queue.close()
        sys.stdout.flush()
        os._exit(0)  # the interpreter would wait for the window that was given up


def _viewer(server: ServerSection) -> str:
    """Write the command that opens the viewer of a daemon."""
    address = DaemonAddress(from_elsewhere(server.results), from_elsewhere(server.control))
    key = "" if is_loopback(server.results) else " --key NAME.key"
    return "selfstorm-viewer" + (f" --daemon {address}" if str(address) != DEFAULT else "") + key


def _log_events(verbose: bool = False, stream: SupportsWrite | None = None) -> LogQueue:
    """Log events.

    Args:
        verbose: log every window too.
        stream: standard error unless given.
    """
    log_queue = log_through_queue(logging.INFO if verbose else logging.WARNING, stream)
    click.get_current_context().call_on_close(log_queue.close)
    logging.getLogger("daemon.health").setLevel(logging.INFO)
    return log_queue


@cli.command()
@click.argument("source")
@click.option("--bind", default=FRAMES, show_default=True, help="Address to publish the frames at.")
@click.option(
    "--keyring",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the keys; default: [server] keys.",
)
def publish(source: str, bind: str, keyring: Path | None) -> None:
    """Publish the frames of SOURCE to a daemon elsewhere.

    SOURCE is a URI or a CONFIG.toml. The daemon elsewhere reads them with the source zmq:HOST:PORT.
    """
    from daemon.sources.publish import publish as publish_source

    config = load(Path(source), {}) if source.endswith(".toml") else None
    section = config.source if config is not None else source_of(source)
    if section.runs_below_normal:
        lower_priority()
    folder = keyring or (config.server.keys if config is not None else None)
    _log_events()
    stop = threading.Event()
    with StopSignals(stop.set):
        for sentence in publish_source(section, bind, stop, folder):
            click.echo(sentence)


@cli.command()
@control_command
@click.option("--once", is_flag=True, help="Print the status once; exit code 1 if no daemon answers within 5 s.")
def watch(daemon: DaemonAddress, key: Path | None, once: bool) -> int:
    """Watch a daemon in a terminal: counters over time, and events.

    Ctrl-C ends it.

    Where the output is not a terminal, one plain line a second is printed instead, for logs.
    """
    from daemon.watch.terminal import watch as watched

    return watched(daemon.results, key, once=once)


@cli.command("replay-run")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--save", type=click.Path(path_type=Path), help="Save the pictures as OME-TIFF.")
def replay_run(manifest: Path, save: Path | None) -> int:
    """Repeat the run that wrote MANIFEST and compare its pictures.

    Exit code 1 if one differs.
    """
    from daemon.processing.repeated_pictures import RepeatedPictures
    from daemon.processing.replay import repeat_run
    from selfstorm.io.atomic_files import check_outputs

    check_outputs({"--save": save}, [manifest])
    made, equal = 0, 0
    with ExitStack() as open_files:
        pictures = None if save is None else open_files.enter_context(RepeatedPictures(save))
        for again in repeat_run(manifest):
            made, equal = made + 1, equal + again.equal
            click.echo(f"window {again.line.index}: {'equal' if again.equal else 'DIFFERENT'}")
            if pictures is not None:
                pictures.add(again)
    click.echo(f"{equal} of {made} pictures equal, bit for bit")
    return int(equal < made)


@cli.command()
@click.argument("config", required=False)
@click.option("--source", help="As for run.")
@click.option("--record", type=click.Path(path_type=Path), help="As for run.")
def check(config: str | None, source: str | None, record: Path | None) -> int:
    """Check this machine: problems and what to do about them.

    CONFIG is what `run` takes: a configuration, the name of a shipped one such as 'micromanager', or a recording.
    Exit code 1 if there is a problem. No setting is changed, and a running daemon is not disturbed.
    """
    from daemon.check.examine import examine
    from daemon.check.probes import line

    problems = 0
    for finding in examine(config, {"source.uri": source, "record": record}):
        click.echo(line(finding))
        problems += finding.level == "bad"
    click.echo(f"{problems} problem{'s' * (problems != 1)}")
    return int(problems > 0)


@cli.command("copy-config")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
def copy_config(name: str, file: Path) -> None:
    """Copy the configuration NAME to FILE, to change it.

    NAME: micromanager, mmcore, ndtiff, replay, simulate or zmq, as for `run`; or cluster. Nothing is replaced.
    """
    copy_shipped(name, file)
    verb = "cluster start" if name == "cluster" else "run"
    click.echo(f"wrote {file}; change it, then: selfstorm-daemon {verb} {file}")


for command in (*COMMANDS, cluster, hold_density, keys):
    cli.add_command(command)


def main() -> None:
    """Run `selfstorm-daemon`: its entry point."""
    console.run(cli)
