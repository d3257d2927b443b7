"""Command `selfstorm-daemon hold-density`."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from daemon.control.options import control_command
from daemon.protocol.address import DaemonAddress
from daemon.stop_signals import StopSignals


@click.command("hold-density")
@click.argument("settings", metavar="FEEDBACK.toml", type=click.Path(path_type=Path))
@click.option("--arm", is_flag=True, help="Set the laser. Without it, a dry run says what would be set.")
@control_command
def hold_density(settings: Path, arm: bool, daemon: DaemonAddress, key: Path | None) -> None:
    """Hold the density of emitters by an activation laser, until Ctrl-C.

    FEEDBACK.toml names the laser, its limits and its safe value. When the daemon, the last viewer or this program is
    lost, the laser goes to its safe value within 2 s. Where Micro-Manager itself stands still nothing can set it:
    switch the laser off by hand. This does not replace an interlock.
    """
    from daemon.control.client import ControlClient
    from daemon.feedback.laser_switch import LaserSwitch
    from daemon.feedback.loop import ANSWER_MS, FeedbackLoop
    from daemon.feedback.settings import load_feedback

    chosen = load_feedback(settings)
    stop = threading.Event()
    with StopSignals(stop.set), ControlClient(daemon.control_address, ANSWER_MS, key, busy_ms=ANSWER_MS) as client:
        client.ask("status")  # a daemon that is not there is reported before a laser is opened
        switch = LaserSwitch(chosen) if arm else None
        try:
            FeedbackLoop(chosen, client, switch, click.echo).run(stop)
        finally:
            if switch is not None:
                switch.close()
                click.echo(f"{chosen.device}-{chosen.property} is at its safe value, {chosen.safe:g}")
