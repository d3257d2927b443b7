"""The demonstration: a simulated living cell, reconstructed live.

It is filmed, streamed, reconstructed and shown at the same time. Run it with `python tools/dev.py demo`. It leaves in
demo-out/ the super-resolved movie, a picture of the viewer and a summary. Without a screen the same runs offscreen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from daemon.config import Config, load
from daemon.control.client import ask
from daemon.sources.scene_section import scene_of
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import Pictures, read_pictures
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.simulation.movie import Movie

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "demo-out"
CONFIG = ROOT / "configs" / "simulate.toml"
PICTURES = 8
START_S, SHOW_S, END_S = 60, 150, 60


@click.command()
@click.option("--offscreen", is_flag=True, help="Open no window even where there is a screen.")
def main(offscreen: bool) -> None:
    """Run the demonstration."""
    OUT.mkdir(exist_ok=True)
    config = load(CONFIG, {})
    movie, screenshot = OUT / "super-resolved.ome.tif", OUT / "viewer.png"
    for old in (movie, screenshot):
        old.unlink(missing_ok=True)
    click.echo("daemon: selfstorm-daemon run configs/simulate.toml")
    daemon = subprocess.Popen([command("selfstorm-daemon"), "run", CONFIG, "--save", movie], cwd=ROOT)
    try:
        wait_for_daemon(config, daemon)
        address = config.server.results.removeprefix("tcp://")
        viewer = [command("selfstorm-viewer"), "--daemon", address]
        click.echo(f"viewer: selfstorm-viewer --daemon {address}")
        window = None if offscreen or not has_screen() else subprocess.Popen(viewer, cwd=ROOT)
        photograph(viewer, screenshot)
        status = ask(config.server.control, "status")
        if window is not None:
            click.echo("close the window to end the demonstration")
            window.wait()
        ask(config.server.control, "stop")
        daemon.wait(END_S)
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
    summary = summarise(config, status, read_pictures(movie))
    (OUT / "summary.txt").write_text(summary, encoding="utf-8")
    click.echo(f"\n{summary}\nin {OUT}: {movie.name}, {screenshot.name}, summary.txt")


def command(name: str) -> str:
    """Return the path of a console command of this environment."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise SystemExit(f"error: {name} is not installed; run 'python tools/dev.py demo'")
    return found


def has_screen() -> bool:
    """Return True if a window can be opened."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def wait_for_daemon(config: Config, daemon: subprocess.Popen[bytes]) -> None:
    """Return once the daemon answers; exit if it cannot start."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            raise SystemExit(daemon.returncode)
        try:
            ask(config.server.control, "status", timeout_ms=500)
        except InputError:
            continue
        return
    raise SystemExit("error: the daemon did not start")


def photograph(viewer: list[str], screenshot: Path) -> None:
    """Save a picture of the viewer.

    It is a viewer of its own, offscreen, that quits after some windows.
    """
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    last = ["--screenshot", str(screenshot), "--after-windows", str(PICTURES), "--timeout", str(SHOW_S)]
    subprocess.run([*viewer, *last], cwd=ROOT, env=environment, check=True)


def summarise(config: Config, status: dict[str, Any], saved: Pictures) -> str:
    """Write a summary: frames, windows, latency and scores.

    The scores compare the pictures with the true positions of the emitters.
    """
    frames, windows = status["frames"], status["windows"]
    last = saved.records[-1]["last_seq"]
    truth = []
    for index, emitters in enumerate(Movie(scene_of(config.source)).emitters()):
        truth.append(emitters)
        if index >= last:
            break
    scores = []
    for picture, record in zip(saved.pictures, saved.records, strict=True):
        where = np.concatenate(truth[record["first_seq"] : record["last_seq"] + 1])[:, 1:3]
        scores.append(score_picture(picture, where, saved.pixel_nm or 1.0))
    latencies = [record["metrics"]["latency_ms"] for record in saved.records]
    lines = [
        "Self-STORM live, demonstration: a simulated living cell",
        f"frames    sent {frames['sent']} = received {frames['received']} + missing {frames['missing']}",
        f"windows   published {windows['published']}, skipped {windows['skipped']}, failed {windows['failed']}"
        f" (of {config.reconstruction.window} frames, a new one every {config.reconstruction.stride})",
        f"latency   median {np.median(latencies):.0f} ms from a window's last frame to its picture",
        f"device    {status['device']}",
        f"score     Pearson {np.mean([s.pearson for s in scores]):.3f}, SSIM {np.mean([s.ssim for s in scores]):.3f}, "
        f"ground-truth FRC {np.mean([s.gt_frc_nm for s in scores]):.0f} nm: means over {len(scores)} pictures,",
        "          each against the emitters that shone in its own frames",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
