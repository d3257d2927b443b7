"""The accumulated picture against its windows, over time.

A simulated sample rests, and the same sample drifts. After every few strides the window's picture and the accumulated
one are scored against all emitters of the movie, where they are at the time that each picture shows, and the claimed
resolution is set beside the true one: the period at which the picture correlates with all dyes by 1/2.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.outputs import prepare_output
from selfstorm.commands.console import run
from selfstorm.frames import Array
from selfstorm.io.atomic_files import atomic_write
from selfstorm.metrics.frc import crossing_period_nm
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.settings import Settings

WINDOW, STRIDE, SCALE = 100, 25, 8
SAMPLE: dict[str, Any] = {
    "density": 4.0,
    "on_frames": 1.5,
    "photons": 1_500.0,
    "na": 1.4,
    "wavelength_nm": 660.0,
}
MOVES: dict[str, tuple[float, float]] = {"still": (0.0, 0.0), "drifting": (0.3, -0.2)}  # nm a frame
TRUE_CORRELATION = 0.5
EDGE_PX = 3  # at least what the drift brings into view or out of it, up to 1,000 frames


@dataclass(frozen=True, slots=True)
class Moment:
    """Scores of both pictures after some frames.

    Attributes:
        sample: still or drifting.
        seed: of the movie.
        frames: accumulated so far.
        window: Pearson correlation and FRC in nm of the window's picture.
        accumulated: the same of the accumulated one.
        inside: Pearson correlation of the accumulated one without the EDGE_PX camera pixels at its edges.
        claimed_nm: resolution that the accumulated picture claims; None where it claims none.
        true_nm: its true resolution; None where it has none.
        drift_left_nm: root mean square error of the drift curve so far.
    """

    sample: str
    seed: int
    frames: int
    window: tuple[float, float]
    accumulated: tuple[float, float]
    inside: float
    claimed_nm: float | None
    true_nm: float | None
    drift_left_nm: float


def follow(sample: str, seed: int, frames: int, side: int, every: int, device: str) -> list[Moment]:
    """Reconstruct a movie stride by stride and score it on the way."""
    from selfstorm.compute.device import prepare_device

    drift = np.array(MOVES[sample])
    scene = Scene(height=side, width=side, filaments=side // 10, seed=seed, drift_nm_per_frame=MOVES[sample], **SAMPLE)
    movie = Movie(scene)
    raw = np.stack([pixels for pixels, _ in islice(movie.frames(0), frames)])
    settings = Settings(scene.pixel_nm, scale=SCALE, quality="fast", tuning_steps=0)
    engine = StreamEngine(partial(new_model, settings, compute=Compute(prepare_device(device))))
    cell_nm, moments = scene.pixel_nm / SCALE, []
    edges = np.arange(side * SCALE + 1) * cell_nm
    starts = range(0, frames - WINDOW + 1, STRIDE)
    for number, start in enumerate(starts):
        span = WindowSpan(np.arange(start, start + WINDOW), start, STRIDE)
        result = engine.reconstruct(EngineWindow(span, (side, side), lambda numbers: raw[numbers])).result
        accumulation = engine.accumulate()
        picture = None if accumulation is None else accumulation.picture()
        if accumulation is None or picture is None or (number % every and start != starts[-1]):
            continue
        curve = accumulation.drift.curve
        first = round(float(curve.frame[0]))  # the frame that the accumulated picture is moved to
        error = curve.yx_nm - (curve.frame - first)[:, None] * drift
        shown = ((result.picture, start + WINDOW - 1), (picture, first))
        truth = [movie.emitters_moved_to(at, 0, frames)[:, 1:3] for _, at in shown]
        window, long_one = (score_picture(one, at, cell_nm) for (one, _), at in zip(shown, truth, strict=True))
        dyes_nm = movie.structure.positions_nm(np.arange(movie.structure.sites), first + 0.5)
        dyes = np.histogram2d(dyes_nm[:, 0], dyes_nm[:, 1], bins=(edges, edges))[0]
        moments.append(
            Moment(
                sample,
                seed,
                accumulation.frames,
                (round(window.pearson, 4), round(window.gt_frc_nm, 1)),
                (round(long_one.pearson, 4), round(long_one.gt_frc_nm, 1)),
                round(_inside(picture, truth[1], cell_nm), 4),
                accumulation.resolution_nm(),
                crossing_period_nm(picture.astype(np.float64), dyes, cell_nm, TRUE_CORRELATION),
                float(np.sqrt(((error - error.mean(0)) ** 2).mean())),
            )
        )
        click.echo(line(moments[-1]))
    return moments


def _inside(picture: Array, emitters_nm: Array, cell_nm: float) -> float:
    """Return the Pearson correlation without the edges of the field."""
    edge = EDGE_PX * SCALE
    part, at_nm = picture[edge:-edge, edge:-edge], emitters_nm - edge * cell_nm
    return score_picture(part, at_nm, cell_nm).pearson


def line(moment: Moment) -> str:
    """Format a moment as a line of a Markdown table."""
    window, long_one = (f"{pearson:.3f} / {frc:.0f}" for pearson, frc in (moment.window, moment.accumulated))
    claimed, true = ("" if value is None else f"{value:.0f}" for value in (moment.claimed_nm, moment.true_nm))
    words = (
        moment.sample,
        moment.seed,
        moment.frames,
        window,
        long_one,
        f"{moment.inside:.3f}",
        claimed,
        true,
        f"{moment.drift_left_nm:.1f}",
    )
    return "| " + " | ".join(map(str, words)) + " |"


def table(moments: list[Moment]) -> str:
    """Format moments as a Markdown table."""
    head = (
        "| sample | seed | frames | window | accumulated | inside | claimed nm | true nm | drift left, nm |\n"
        + "|---" * 9
        + "|"
    )
    return "\n".join([head, *map(line, moments)]) + "\n"


def draw(moments: list[Moment], path: Path) -> None:
    """Draw correlation and resolution over the frames as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for sample, seed in sorted({(moment.sample, moment.seed) for moment in moments}):
        own = [moment for moment in moments if (moment.sample, moment.seed) == (sample, seed)]
        frames, colour = [moment.frames for moment in own], "C0" if sample == "still" else "C1"
        of = f"{sample} {seed}"
        scores = ([moment.accumulated[0] for moment in own], [moment.window[0] for moment in own])
        periods = ([moment.claimed_nm or np.nan for moment in own], [moment.true_nm or np.nan for moment in own])
        for axes, lines, names in ((left, scores, ("accumulated", "window")), (right, periods, ("claimed", "true"))):
            for values, style, name in zip(lines, ("-", ":"), names, strict=True):
                axes.plot(frames, values, style, color=colour, label=f"{name}, {of}")
    for axes, what in ((left, "Pearson with all emitters"), (right, "resolution of the accumulated picture, nm")):
        axes.set_xlabel("frames")
        axes.set_ylabel(what)
        axes.legend(fontsize=6)
    figure.savefig(path, dpi=110, format="png")


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("docs/benchmarks"), show_default=True)
@click.option("--seed", "seeds", type=int, multiple=True, default=(101, 102), show_default=True)
@click.option("--frames", type=click.IntRange(WINDOW), default=800, show_default=True)
@click.option("--side", type=click.IntRange(16), default=40, show_default=True, help="Camera pixels along a side.")
@click.option("--every", type=click.IntRange(1), default=4, show_default=True, help="Strides between two scores.")
@click.option("--device", default="auto", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier run.")
def main(
    output: Path, seeds: tuple[int, ...], frames: int, side: int, every: int, device: str, overwrite: bool
) -> None:
    """Score accumulated pictures over time, into .json, .md and .png."""
    prepare_output(output, "accumulated", overwrite=overwrite)
    moments = [
        moment for seed in seeds for sample in MOVES for moment in follow(sample, seed, frames, side, every, device)
    ]
    texts = {"accumulated.json": json.dumps([asdict(moment) for moment in moments], indent=1) + "\n"}
    for name, text in (texts | {"accumulated.md": table(moments)}).items():
        with atomic_write(output / name, overwrite=overwrite) as part:
            part.write_text(text, encoding="utf-8")
    with atomic_write(output / "accumulated.png", overwrite=overwrite) as part:
        draw(moments, part)


if __name__ == "__main__":
    run(main)
