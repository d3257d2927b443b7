"""Daemons of many microscopes on a cluster: `selfstorm-daemon cluster`."""

from __future__ import annotations

from pathlib import Path

import click

from daemon.cluster.config import load_cluster
from daemon.cluster.watched_daemon import Report
from selfstorm.printable import printable

config_argument = click.argument("config", type=click.Path(path_type=Path))


@click.group()
def cluster() -> None:
    """Run daemons on the machines of a Ray cluster.

    CONFIG is a .toml file as configs/cluster.toml.
    """


@cluster.command()
@config_argument
def start(config: Path) -> None:
    """Start the daemons of CONFIG that do not run yet.

    They go on when this command has ended, on another machine where theirs is lost, until 'cluster stop'.
    """
    from daemon.cluster.ray_engine import connected

    settings = load_cluster(config)
    with connected(settings) as found:
        found.start()
    click.echo(f"{len(settings.daemon)} daemons are placed; see 'selfstorm-daemon cluster status {config}'")


@cluster.command()
@config_argument
def status(config: Path) -> int:
    """Show where the daemons of CONFIG run.

    Exit code 1 if one does not run.
    """
    from daemon.cluster.ray_engine import connected

    down = 0
    with connected(load_cluster(config)) as found:
        for name, report in found.reports():
            if isinstance(report, str):
                line, runs = report, False
            else:
                line, runs = _line(report), report.state == "running"
            click.echo(f"{name}: {printable(line)}")
            down += not runs
    return int(down > 0)


@cluster.command()
@config_argument
def stop(config: Path) -> None:
    """Stop the daemons of CONFIG; they finish their files."""
    from daemon.cluster.ray_engine import connected

    with connected(load_cluster(config)) as found:
        found.stop()
    click.echo("stopped")


def _line(report: Report) -> str:
    port = report.results.rpartition(":")[2]
    results = f", results at port {port}" if report.state == "running" else ""
    starts = f"; started {report.starts} times there" if report.starts > 1 else ""
    why = f"; {report.why}" if report.why else ""
    return f"{report.state} on {report.machine}{results}{starts}{why}"
