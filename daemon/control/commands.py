"""Commands for a running daemon: status, info, set, snapshot, ..."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from daemon.control.client import ControlClient, ask
from daemon.control.options import control_command
from daemon.protocol.address import DaemonAddress
from daemon.protocol.findings import metric_findings, quality, run_findings
from daemon.protocol.messages import MetricDescriptions, Status
from selfstorm.errors import InputError
from selfstorm.metrics.metric_table import MetricTable
from selfstorm.metrics.registry import METRICS
from selfstorm.printable import printable

FINISH_S, POLL_S = 15.0, 0.2  # for the end of a recording, and of the daemon
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.command()
@control_command
@as_json_option
def status(daemon: DaemonAddress, key: Path | None, as_json: bool) -> None:
    """Show the account of the running daemon."""
    result = ask(daemon.control_address, "status", key=key)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    described = MetricDescriptions.model_validate(ask(daemon.control_address, "metrics", key=key))
    click.echo(account(Status.model_validate(result), MetricTable(described.metrics)))


@click.command()
@control_command
@as_json_option
def info(daemon: DaemonAddress, key: Path | None, as_json: bool) -> None:
    """Show version, camera, and the settings that `set` can change."""
    result = ask(daemon.control_address, "info", key=key)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    stream = result["stream"]
    click.echo(f"selfstorm {result['version']}, protocol {'.'.join(map(str, result['protocol']))}")
    if stream is None:
        click.echo("no frame has arrived yet")
    else:
        click.echo(f"{stream['camera'] or stream['source']}: {stream['width']} x {stream['height']} px")
    for key, value in result["settings"].items():
        click.echo(f"{key} = {_format(value)}")


@click.command("set")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@control_command
def set_(changes: tuple[str, ...], daemon: DaemonAddress, key: Path | None) -> None:
    """Change settings while the daemon runs, all of them or none.

    KEY is written as in CONFIG.toml; the value 'none' removes it.

    \b
    selfstorm-daemon set reconstruction.stride=25 optics.psf_sigma_nm=120
    selfstorm-daemon set reconstruction.region=[128,128,256,256]
    """
    changed = ask(daemon.control_address, "set", key=key, changes=dict(map(_change, changes)))["changed"]
    for key, (before, after) in changed.items():
        click.echo(f"{key}: {_format(before)} -> {_format(after)}")
    if not changed:
        click.echo("no change: the settings have these values already")


@click.command()
@control_command
def snapshot(daemon: DaemonAddress, key: Path | None) -> None:
    """Save the newest picture and the mean of its camera frames.

    The files are written on the daemon's machine.
    """
    click.echo(ask(daemon.control_address, "snapshot", key=key)["file"])


@click.command()
@click.argument("what", type=click.Choice(["start", "stop"]))
@control_command
def record(what: str, daemon: DaemonAddress, key: Path | None) -> None:
    """Start or stop recording the raw frames."""
    if what == "start":
        click.echo(f"recording into {ask(daemon.control_address, 'record-start', key=key)['folder']}")
        click.echo("It begins within about 2 s; 'selfstorm-daemon status' counts its frames.")
        return
    with ControlClient(daemon.control_address, key=key) as client:
        since = client.ask("status")["events"]
        folder = client.ask("record-stop")["folder"]
        click.echo(_end_of_recording(client, since) if folder else "nothing is recorded")


def _end_of_recording(client: ControlClient, since: int) -> str:
    """Wait until the files are finished, and say what is in them.

    Args:
        client: of the daemon.
        since: number of the first event that may report it.
    """
    deadline_s = time.monotonic() + FINISH_S
    while time.monotonic() < deadline_s:
        events = client.ask("events", since=since)["events"]
        ended = [event["text"] for event in events if event["code"] == "recording_ended"]
        if ended:
            return printable(str(ended[0]))
        time.sleep(POLL_S)
    return "stopping: the files are not finished yet; an event will say so"


@click.command()
@click.argument("text", default="")
@control_command
def mark(text: str, daemon: DaemonAddress, key: Path | None) -> None:
    """Mark this moment, with a note.

    All viewers show it, and the run's manifest keeps it.
    """
    ask(daemon.control_address, "mark", key=key, text=text)
    click.echo("marked")


@click.command()
@control_command
def stop(daemon: DaemonAddress, key: Path | None) -> None:
    """Let the running daemon finish its waiting windows and end."""
    with ControlClient(daemon.control_address, key=key) as client:
        client.ask("stop")
        ended = client.wait_for_end(FINISH_S)
    click.echo("stopped" if ended else "stopping: it has not ended yet; its waiting windows are finished first")


def _command(verb: str, help_text: str, done: str) -> click.Command:
    """Make the command of a verb without arguments or result."""

    @click.command(verb, help=help_text)
    @control_command
    def command(daemon: DaemonAddress, key: Path | None) -> None:
        ask(daemon.control_address, verb, key=key)
        click.echo(done)

    return command


COMMANDS = (
    status,
    info,
    set_,
    _command("pause", "Make no pictures until 'resume'; frames are still received, counted and recorded.", "paused"),
    _command("resume", "Make pictures again.", "running"),
    _command(
        "reset-model",
        "Discard the learned model: the next window starts a new one.",
        "the model is reset",
    ),
    snapshot,
    record,
    mark,
    stop,
)


def account(status: Status, metrics: MetricTable[Any] = METRICS) -> str:
    """Format a status for a terminal.

    Args:
        status: of the daemon.
        metrics: the metrics that the daemon publishes, with their units and limits.

    Returns:
        The account of frames and windows, the metrics of the newest picture, and every problem, a line each.
    """
    frames, windows = status.frames, status.windows
    paused = " (paused)" if status.paused else ""
    lines = [
        f"{status.state}{paused}" + (f": {status.detail}" if status.detail else ""),
        f"source   {status.source or '-'} ({status.source_state or 'not started'})"
        + (f", restarted {status.source_restarts} times" if status.source_restarts else ""),
        f"frames   sent {frames.sent} = received {frames.received} + missing {frames.missing}",
        f"lost     at the source {frames.lost_at_source}, in transit {frames.missing}, in the daemon {frames.rejected}"
        + (f"; about {frames.estimated_lost_in_outages} in outages" if frames.estimated_lost_in_outages else ""),
        *(f"rejected {count} messages: {why}" for why, count in status.refused.items()),
        *(f"refused  {count} requests: {why}" for why, count in status.refused_requests.items()),
        f"windows  complete {windows.complete}: published {windows.published}, skipped {windows.skipped},"
        f" failed {windows.failed}"
        + (f"; {windows.skipped_at_stop} not reconstructed: the run was stopped" if windows.skipped_at_stop else ""),
        _latency(status),
        f"level    {status.effort or '-'}; model {status.model_state or '-'}",
        f"device   {status.device}",
    ]
    if status.metrics:
        lines.append(f"picture  {metrics.line(status.metrics)}")
    found = (*run_findings(status), quality(status), *metric_findings(metrics, status))
    lines.extend(f"{one.level:8} {one.name}: {one.explanation}" for one in found if one.serious)
    if status.recording:
        lines.append(
            f"recorded {status.recorded_frames} frames, {status.recording_missing} missing: {status.recording}"
        )
    if status.saving:
        lines.append(f"saved    {status.saving}")
    if status.localizations or status.localizations_written:
        left_out = f", {status.frames_not_localized} frames without" if status.frames_not_localized else ""
        table = f"found    {status.localizations_written} localizations{left_out}: {status.localizations}"
        lines.append(table.rstrip(": "))
    lines.extend(f"ended    {output}: {why}" for output, why in status.outputs_ended.items())
    return "\n".join(map(printable, lines))


def _latency(status: Status) -> str:
    """Format the latencies of previews and refined pictures.

    They are measured from the arrival of a window's last frame.
    """
    stages = {latency.stage: latency for latency in status.latencies if latency.stage in ("preview", "refined")}
    text = "; ".join(f"{s} {v.p50_ms:.0f} (p95 {v.p95_ms:.0f}, p99 {v.p99_ms:.0f}) ms" for s, v in stages.items())
    return f"latency  {text or '-'}"


def _change(text: str) -> tuple[str, Any]:
    """Parse KEY=VALUE; a value that is not JSON is a word."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InputError(f"{text!r} is not a setting", hint="write KEY=VALUE, such as reconstruction.stride=25")
    if value.lower() in ("none", ""):
        return key, None
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _format(value: Any) -> str:
    return "none" if value is None else json.dumps(value)
