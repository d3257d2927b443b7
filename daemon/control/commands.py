"""Commands that ask a running daemon for something: status, stop, pause, resume, set, reset-model, snapshot, ..."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from daemon.control.client import ask
from daemon.control.options import asks
from daemon.protocol.messages import Status
from daemon.protocol.text import printable
from selfstorm.errors import InputError

as_json_option = click.option("--json", "as_json", is_flag=True, help="Every figure, for programs.")


@click.command()
@asks
@as_json_option
def status(control: str, key: Path | None, as_json: bool) -> None:
    """What the running daemon has done so far."""
    result = ask(control, "status", key=key)
    click.echo(json.dumps(result, indent=2) if as_json else account(Status.model_validate(result)))


@click.command()
@asks
@as_json_option
def info(control: str, key: Path | None, as_json: bool) -> None:
    """What runs: version, camera, and the settings that `set` can change."""
    result = ask(control, "info", key=key)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    stream = result["stream"]
    click.echo(f"selfstorm {result['version']}, protocol {'.'.join(map(str, result['protocol']))}")
    if stream is None:
        click.echo("no frame has come yet")
    else:
        click.echo(f"{stream['camera'] or stream['source']}: {stream['width']} x {stream['height']} px")
    for key, value in result["settings"].items():
        click.echo(f"{key} = {_written(value)}")


@click.command("set")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@asks
def set_(changes: tuple[str, ...], control: str, key: Path | None) -> None:
    """Change settings while the daemon runs, all or none: keys as in CONFIG.toml, 'none' to leave one out again.

    \b
    selfstorm-daemon set reconstruction.stride=25 optics.psf_sigma_nm=120
    selfstorm-daemon set reconstruction.region=[128,128,256,256]
    """
    changed = ask(control, "set", key=key, changes=dict(map(_change, changes)))["changed"]
    for key, (before, after) in changed.items():
        click.echo(f"{key}: {_written(before)} -> {_written(after)}")
    if not changed:
        click.echo("nothing changes: that is how it is")


@click.command()
@asks
def snapshot(control: str, key: Path | None) -> None:
    """Save the picture shown last, and the raw mean beside it, on the daemon's machine."""
    click.echo(ask(control, "snapshot", key=key)["file"])


@click.command()
@click.argument("what", type=click.Choice(["start", "stop"]))
@asks
def record(what: str, control: str, key: Path | None) -> None:
    """Record the raw frames from now on, or no more."""
    result = ask(control, f"record-{what}", key=key)
    click.echo(f"recording into {result['folder']}" if what == "start" else "recording ended")


@click.command()
@click.argument("text", default="")
@asks
def mark(text: str, control: str, key: Path | None) -> None:
    """Mark this moment, for all viewers and in the run's manifest."""
    ask(control, "mark", key=key, text=text)
    click.echo("marked")


def _command(verb: str, help_text: str, done: str) -> click.Command:
    """A verb without arguments, whose answer says nothing."""

    @click.command(verb, help=help_text)
    @asks
    def command(control: str, key: Path | None) -> None:
        ask(control, verb, key=key)
        click.echo(done)

    return command


COMMANDS = (
    status,
    info,
    set_,
    _command("pause", "Make no pictures until 'resume'; frames are still taken in, counted and recorded.", "paused"),
    _command("resume", "Make pictures again.", "running"),
    _command("reset-model", "Forget what was learned: the next window starts anew.", "the next window starts anew"),
    snapshot,
    record,
    mark,
    _command("stop", "Ask the running daemon to finish what it has and end.", "stopping"),
)


def account(status: Status) -> str:
    """A status as a person reads it."""
    frames, windows = status.frames, status.windows
    paused = " (paused)" if status.paused else ""
    lines = [
        f"{status.state}{paused}" + (f": {status.detail}" if status.detail else ""),
        f"source   {status.source or '-'} ({status.source_state or 'not started'})"
        + (f", restarted {status.source_restarts} times" if status.source_restarts else ""),
        f"frames   sent {frames.sent} = received {frames.received} + missing {frames.missing}",
        f"lost     at the source {frames.lost_at_source}, in transit {frames.missing}, in the daemon {frames.rejected}"
        + (f"; about {frames.estimated_lost_in_outages} in outages" if frames.estimated_lost_in_outages else ""),
        *(f"refused  {count} messages: {why}" for why, count in status.refused.items()),
        *(f"refused  {count} requests: {why}" for why, count in status.refused_requests.items()),
        f"windows  complete {windows.complete}: published {windows.published}, skipped {windows.skipped},"
        f" failed {windows.failed}",
        _latency(status),
        f"effort   {status.effort or '-'}; model {status.model_state or '-'}",
        f"device   {status.device}",
    ]
    if status.recording:
        lines.append(
            f"recorded {status.recorded_frames} frames, {status.recording_missing} missing: {status.recording}"
        )
    if status.saving:
        lines.append(f"saved    {status.saving}")
    return "\n".join(map(printable, lines))


def _latency(status: Status) -> str:
    """From a window's last frame to its preview and its refined picture."""
    stages = {latency.stage: latency for latency in status.latencies if latency.stage in ("preview", "refined")}
    text = "; ".join(f"{s} {v.p50_ms:.0f} (p95 {v.p95_ms:.0f}, p99 {v.p99_ms:.0f}) ms" for s, v in stages.items())
    return f"latency  {text or '-'}"


def _change(text: str) -> tuple[str, Any]:
    """KEY=VALUE; a value is JSON where it can be, else a word."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InputError(f"{text!r} changes nothing", hint="write KEY=VALUE, such as reconstruction.stride=25")
    if value.lower() in ("none", ""):
        return key, None
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _written(value: Any) -> str:
    return "none" if value is None else json.dumps(value)
