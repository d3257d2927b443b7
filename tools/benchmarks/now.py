"""The picture of now against the truth at the newest frame.

Simulated samples move in parts, drift, turn, pulse, pause and part. The last window of each is drawn as it lay and
moved to its newest frame, and both are scored against all emitters of the window, moved to that frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.reconstruction import Reconstruction
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.settings import Motion, Settings

WINDOW, STRIDE, FRAMES, FIRST = 100, 25, 300, 250
SAMPLE: dict[str, Any] = {
    "density": 6.0,
    "filaments": 6,
    "on_frames": 0.1,
    "photons": 10_000.0,
    "na": 1.4,
    "wavelength_nm": 660.0,
}
LONG = {"on_frames": 2.5, "photons": 1_000.0}
MOVES: dict[str, dict[str, Any]] = {
    "still": {},
    "moving": {"speed_nm_per_frame": 0.8},
    "moving, on for 2.5 frames": {"speed_nm_per_frame": 0.8, **LONG},
    "drifting": {"drift_nm_per_frame": (0.5, -0.33)},
    **{
        motion: {"speed_nm_per_frame": 0.8, "motion": motion} for motion in ("turning", "pulsing", "pausing", "parting")
    },
}


@dataclass(frozen=True, slots=True)
class NowScore:
    """Scores of the last window of a movie.

    Attributes:
        sample: name of its motion.
        seed: of the movie.
        motion: what was done, in words.
        as_it_lay: Pearson correlation and FRC in nm of the picture as it lay.
        now: the same of the picture at the newest frame's time.
    """

    sample: str
    seed: int
    motion: str
    as_it_lay: tuple[float, float]
    now: tuple[float, float]


def score_motion(sample: str, seed: int, device: str) -> NowScore:
    """Score the last window of a simulated movie both ways."""
    from selfstorm.compute.device import prepare_device

    movie = Movie(Scene(seed=seed, **SAMPLE | MOVES[sample]))
    raw = np.stack([pixels for pixels, _ in islice(movie.frames(FIRST), FRAMES)])
    compute = Compute(prepare_device(device))
    newest = FIRST + FRAMES - 1
    truth = movie.emitters_moved_to(newest, newest + 1 - WINDOW, WINDOW)[:, 1:3]
    results: dict[Motion, Reconstruction] = {}
    for motion in ("as-it-lay", "corrected"):
        settings = Settings(movie.scene.pixel_nm, scale=8, quality="fast", motion=motion)
        engine = StreamEngine(partial(new_model, settings, compute=compute))
        for start in range(0, FRAMES - WINDOW + 1, STRIDE):
            span = WindowSpan(np.arange(start, start + WINDOW), start, STRIDE)
            results[motion] = engine.reconstruct(EngineWindow(span, raw.shape[1:], lambda numbers: raw[numbers])).result
    lay, now = (_scored(results[motion], truth, movie) for motion in ("as-it-lay", "corrected"))
    return NowScore(sample, seed, results["corrected"].motion, lay, now)


def _scored(result: Reconstruction, truth: Array, movie: Movie) -> tuple[float, float]:
    score = score_picture(result.picture, truth, movie.scene.pixel_nm / result.scale)
    return round(score.pearson, 4), round(score.gt_frc_nm, 1)


def table(scores: list[NowScore]) -> Iterator[str]:
    """Format scores as lines of Markdown."""
    yield "| sample | seed | as it lay | now | |"
    yield "|---|---|---|---|---|"
    for score in scores:
        lay, now = (f"{pearson:.3f} / {frc:.0f}" for pearson, frc in (score.as_it_lay, score.now))
        yield f"| {score.sample} | {score.seed} | {lay} | {now} | {score.motion} |"


def draw(scores: list[NowScore], path: Path) -> None:
    """Draw the correlations with the truth, before and after, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    at = np.arange(len(scores))
    axes.bar(at - 0.2, [score.as_it_lay[0] for score in scores], 0.4, label="as it lay", color="0.7")
    axes.bar(at + 0.2, [score.now[0] for score in scores], 0.4, label="at the newest frame", color="C1")
    axes.set_xticks(at, [f"{score.sample}\n{score.seed}" for score in scores], fontsize=7, rotation=30, ha="right")
    axes.set_ylim(0.6, 1.0)
    axes.set_ylabel("Pearson with the truth at the newest frame")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110, format="png")


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("docs/benchmarks"), show_default=True)
@click.option("--seed", "seeds", type=int, multiple=True, default=(101, 102), show_default=True)
@click.option("--sample", "samples", type=click.Choice(list(MOVES)), multiple=True, default=tuple(MOVES))
@click.option("--device", default="auto", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier run.")
def main(output: Path, seeds: tuple[int, ...], samples: tuple[str, ...], device: str, overwrite: bool) -> None:
    """Score pictures of moving samples; writes now.json, .md and .png."""
    prepare_output(output, "now", overwrite=overwrite)
    scores = []
    for sample in samples:
        for seed in seeds:
            scores.append(score_motion(sample, seed, device))
            click.echo(list(table(scores))[-1])
    for name, text in (("now.json", json.dumps([asdict(score) for score in scores], indent=1)), ("now.md", None)):
        with atomic_write(output / name, overwrite=overwrite) as part:
            part.write_text((text or "\n".join(table(scores))) + "\n", encoding="utf-8")
    with atomic_write(output / "now.png", overwrite=overwrite) as part:
        draw(scores, part)


if __name__ == "__main__":
    run(main)
