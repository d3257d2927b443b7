"""Memory of a run that accumulates for minutes.

The engine reconstructs a simulated, slowly drifting sample window by window, as fast as it can, and accumulates every
frame. The memory of the process must be the same after half an hour's frames as after a few minutes'. Linux only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import click
import numpy as np

from benchmarks.outputs import prepare_output
from selfstorm.commands.console import run
from selfstorm.frames import Array
from selfstorm.io.atomic_files import atomic_write
from selfstorm.psf.models import Airy
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.settings import Settings

WINDOW, SCALE = 50, 4
NA, WAVELENGTH_NM = 1.4, 670.0
DRIFT_NM = (0.006, -0.003)  # a frame
HEAD = "| frames | minutes | memory, MiB | localizations | claimed nm | drift y, x nm | true y, x nm |\n|" + "---|" * 7


@dataclass(frozen=True, slots=True)
class Reading:
    """Memory and the accumulated picture after some frames.

    Attributes:
        frames: reconstructed so far.
        memory_mib: resident memory of the process.
        emitters: localizations in the accumulated picture.
        claimed_nm: resolution that it claims; None where it claims none.
        drift_nm: where the sample was found, (y, x), against the first frame of the accumulated picture.
        true_nm: where it is, likewise.
    """

    frames: int
    memory_mib: float
    emitters: int
    claimed_nm: float | None
    drift_nm: tuple[float, float]
    true_nm: tuple[float, float]

    def line(self, rate_hz: float) -> str:
        """Format as a line of a Markdown table."""
        claimed = "" if self.claimed_nm is None else f"{self.claimed_nm:.0f}"
        minutes = self.frames / rate_hz / 60
        drift, true = (f"{y_nm:.0f}, {x_nm:.0f}" for y_nm, x_nm in (self.drift_nm, self.true_nm))
        return (
            f"| {self.frames} | {minutes:.0f} | {self.memory_mib:.0f} | {self.emitters} | {claimed} | "
            f"{drift} | {true} |"
        )


def readings(frames: int, every: int, side: int, seed: int, device: str) -> Iterator[Reading]:
    """Reconstruct and accumulate, and read the memory on the way.

    Args:
        frames: in all.
        every: frames between two readings.
        side: camera pixels along a side.
        seed: of the movie.
        device: that computes.
    """
    from selfstorm.compute.device import prepare_device

    scene = Scene(
        height=side,
        width=side,
        filaments=3,
        density=3.0,
        na=NA,
        wavelength_nm=WAVELENGTH_NM,
        drift_nm_per_frame=DRIFT_NM,
        seed=seed,
    )
    settings = Settings(
        scene.pixel_nm,
        Airy(NA, WAVELENGTH_NM),
        scene.offset_adu,
        scene.gain_adu_per_electron,
        scale=SCALE,
        quality="fast",
        tuning_steps=0,
    )
    engine = StreamEngine(partial(new_model, settings, compute=Compute(prepare_device(device))))
    movie = (pixels for pixels, _ in Movie(scene).frames(0))
    before: list[Array] = []
    for end in range(WINDOW, frames + 1, WINDOW):
        kept = [*before, *islice(movie, WINDOW)]
        first = end - len(kept)
        span = WindowSpan(np.arange(end - WINDOW, end), end - WINDOW, WINDOW)
        engine.reconstruct(EngineWindow(span, (side, side), partial(_read, kept, first)))
        before, so_far = kept[-WINDOW:], engine.accumulate()
        if end % every == 0 and so_far is not None:
            yield _reading(end, so_far)


def _read(kept: list[Array], first: int, numbers: Array) -> Array:
    """Return frames by their numbers; the first one kept is `first`."""
    return np.stack([kept[number - first] for number in numbers])


def _reading(frames: int, so_far: Accumulation) -> Reading:
    so_far.picture()  # as it is published
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    y_nm, x_nm = ((so_far.frames - 1) * speed for speed in DRIFT_NM)
    drift = so_far.drift_nm or (0.0, 0.0)
    return Reading(frames, memory, so_far.emitters, so_far.resolution_nm(), drift, (y_nm, x_nm))


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("docs/benchmarks"), show_default=True)
@click.option("--minutes", type=click.FloatRange(1), default=30.0, show_default=True)
@click.option("--rate-hz", type=click.FloatRange(1), default=20.0, show_default=True, help="Of the camera.")
@click.option("--side", type=click.IntRange(16), default=20, show_default=True, help="Camera pixels along a side.")
@click.option("--seed", default=77, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the file of an earlier run.")
def main(output: Path, minutes: float, rate_hz: float, side: int, seed: int, device: str, overwrite: bool) -> None:
    """Read the memory of minutes of accumulation, into memory.md."""
    prepare_output(output, "memory", endings=("md",), overwrite=overwrite)
    frames, every = int(minutes * 60 * rate_hz), round(60 * rate_hz / WINDOW) * WINDOW
    click.echo(HEAD)
    lines = [HEAD]
    for one in readings(frames, every, side, seed, device):
        lines.append(one.line(rate_hz))
        click.echo(lines[-1])
    with atomic_write(output / "memory.md", overwrite=overwrite) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
