"""The `selfstorm-daemon` command: run, publish, status, stop, replay-run, check, keys."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import click

from daemon.asking import ask
from daemon.asking_options import asks
from daemon.config import load, source_of
from daemon.keys_command import keys
from daemon.loopback import from_elsewhere, is_loopback
from daemon.protocol.messages import Status
from daemon.stop_signals import StopSignals
from selfstorm import console

FRAMES = "tcp://127.0.0.1:5710"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("selfstorm"))
def cli() -> None:
    """Live super-resolution: camera frames in, super-resolved pictures out."""


@cli.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--source", help="simulate:, replay:PATH, ndtiff:DIR, mmcore:[CFG], micromanager:[HOST:PORT] or zmq:HOST:PORT"
)
@click.option("--record", type=click.Path(path_type=Path), help="Record the raw frames into this folder.")
@click.option("--save", type=click.Path(path_type=Path), help="Save the pictures as OME-TIFF.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="Keep what the model learns in this file, and start from it when it is there.",
)
@click.option("--duration", "duration_s", type=click.FloatRange(0, min_open=True), help="Stop after so many seconds.")
@click.option("--lossless", is_flag=True, default=None, help="The source waits: no window is skipped.")
@click.option("--json", "as_json", is_flag=True, help="Print the final account with every figure, for programs.")
@click.option("-v", "--verbose", is_flag=True, help="Log every window.")
def run(
    config: Path,
    source: str | None,
    record: Path | None,
    save: Path | None,
    checkpoint: Path | None,
    duration_s: float | None,
    lossless: bool | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Run the daemon with CONFIG.toml; flags win over its keys."""
    overrides = {
        "source.uri": source,
        "record": record,
        "save": save,
        "checkpoint": checkpoint,
        "duration_s": duration_s,
        "lossless": lossless,
    }
    settings = load(config, overrides)
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("daemon.health").setLevel(logging.INFO)
    from daemon.service import Service

    service = Service(settings)
    results = settings.server.results
    key = "" if is_loopback(results) else " --key NAME.key"
    click.echo(f"results on {results}; watch with: selfstorm-viewer --connect {from_elsewhere(results)}{key}")
    final = service.run()
    click.echo(final.model_dump_json(indent=2) if as_json else account(final))


@cli.command()
@click.argument("source")
@click.option("--bind", default=FRAMES, show_default=True, help="Where the daemon finds the frames.")
@click.option(
    "--keyring", metavar="DIR", type=click.Path(path_type=Path), help="As for keys; [server] keys if not given."
)
def publish(source: str, bind: str, keyring: Path | None) -> None:
    """Run the camera process of SOURCE, a URI or a CONFIG.toml, for a daemon elsewhere (its source: zmq:HOST:PORT)."""
    from daemon.publish import publish as published

    config = load(Path(source), {}) if source.endswith(".toml") else None
    section = config.source if config is not None else source_of(source)
    folder = keyring or (config.server.keys if config is not None else None)
    stop = threading.Event()
    with StopSignals(stop.set):
        for sentence in published(section, bind, stop, folder):
            click.echo(sentence)


@cli.command()
@asks
@click.option("--json", "as_json", is_flag=True, help="Every figure, for programs.")
def status(control: str, key: Path | None, as_json: bool) -> None:
    """What the running daemon has done so far."""
    result = ask(control, "status", key=key)
    click.echo(json.dumps(result, indent=2) if as_json else account(Status.model_validate(result)))


@cli.command()
@asks
def stop(control: str, key: Path | None) -> None:
    """Ask the running daemon to finish what it has and end."""
    ask(control, "stop", key=key)
    click.echo("stopping")


@cli.command("replay-run")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--save", type=click.Path(path_type=Path), help="Save the pictures as OME-TIFF.")
def replay_run(manifest: Path, save: Path | None) -> int:
    """Repeat the run that wrote MANIFEST, and say whether its pictures come out equal; exit code 1 where one is not."""
    from daemon.replay_run import repeat
    from selfstorm.ome_tiff import OmeTiffWriter

    made, equal = 0, 0
    with ExitStack() as open_files:
        writer: OmeTiffWriter | None = None
        for again in repeat(manifest):
            made, equal = made + 1, equal + again.equal
            click.echo(f"window {again.line.index}: {'equal' if again.equal else 'DIFFERENT'}")
            if save is not None:
                writer = writer or open_files.enter_context(OmeTiffWriter(save, None))
                writer.add(again.result.picture, {"window": again.line.index})
    click.echo(f"{equal} of {made} pictures equal, bit for bit")
    return int(equal < made)


@cli.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--source", help="As for run.")
@click.option("--record", type=click.Path(path_type=Path), help="As for run.")
def check(config: Path | None, source: str | None, record: Path | None) -> int:
    """When it does not work: what is wrong on this machine with CONFIG.toml, and what to do about it.

    Exit code 1 where there is a problem. Nothing is set, and a daemon that runs is left alone.
    """
    from daemon.check.examine import examine

    problems = 0
    for finding in examine(config, {"source.uri": source, "record": record}):
        click.echo(str(finding))
        problems += finding.level == "problem"
    click.echo(f"{problems} problem{'s' * (problems != 1)}")
    return int(problems > 0)


cli.add_command(keys)


def account(status: Status) -> str:
    """A status as a person reads it."""
    frames, windows = status.frames, status.windows
    lines = [
        f"{status.state}" + (f": {status.detail}" if status.detail else ""),
        f"source   {status.source or '-'} ({status.source_state or 'not started'})"
        + (f", restarted {status.source_restarts} times" if status.source_restarts else ""),
        f"frames   sent {frames.sent} = received {frames.received} + missing {frames.missing}",
        f"lost     at the source {frames.lost_at_source}, in transit {frames.missing}, in the daemon {frames.rejected}"
        + (f"; about {frames.estimated_lost_in_outages} in outages" if frames.estimated_lost_in_outages else ""),
        *(f"refused  {count} messages: {why}" for why, count in status.refused.items()),
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
    return "\n".join(lines)


def _latency(status: Status) -> str:
    """From a window's last frame to its preview and its refined picture."""
    stages = {latency.stage: latency for latency in status.latencies if latency.stage in ("preview", "refined")}
    text = "; ".join(f"{s} {v.p50_ms:.0f} (p95 {v.p95_ms:.0f}, p99 {v.p99_ms:.0f}) ms" for s, v in stages.items())
    return f"latency  {text or '-'}"


def main() -> None:
    """Entry point of `selfstorm-daemon`."""
    console.run(cli)
