"""Drift correction of simulated tables, beside other programs.

The same tables go to the engine's curve of a whole recording, to its live curve (windows of 100 frames, then strides of
25, each frame with the drift that was applied when it came), and, with `--peers`, to RCC and AIM of Picasso and to
COMET, which run in an environment of their own (`pip install picassosr comet-smlm`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import click
import numpy as np

from benchmarks.drift_tables import DriftCase, DriftTable, Floats, simulated
from benchmarks.outputs import prepare_output
from selfstorm.commands.console import run
from selfstorm.io.atomic_files import atomic_write
from selfstorm.stream.drift import estimate_drift
from selfstorm.stream.live_drift import LiveDrift

WINDOW, STRIDE = 100, 25
CASES = (
    DriftCase("linear", 2.0, 600, 1.25),
    DriftCase("walk", 0.7, 1_500, 1.25),
    DriftCase("thermal", 0.5, 1_500, 1.25),
    DriftCase("walk", 0.7, 1_500, 0.6),
    DriftCase("linear", 2.0, 600, 0.6),
    DriftCase("thermal", 0.5, 1_500, 0.3),
    DriftCase("none", 0.0, 1_500, 0.3),
    DriftCase("linear", 2.0, 600, 0.3),
    DriftCase("walk", 2.0, 600, 1.25),
    DriftCase("walk", 0.2, 600, 8.0),
    DriftCase("thermal", 2.0, 1_500, 1.25),
    DriftCase("linear", 0.2, 1_500, 1.25),
    DriftCase("walk", 0.7, 1_500, 0.3),
    DriftCase("walk", 0.2, 10_000, 0.3),
    DriftCase("thermal", 0.5, 10_000, 1.25),
)
# The best of these numbers of localizations a segment is kept, chosen with the truth.
SEGMENTS = {"rcc": (500, 2_000), "aim": (250, 1_000), "comet": (250,)}
MAX_COMET = 8_000  # localizations: on a CPU more take many minutes
PEER_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class DriftScore:
    """Drift that methods left of one table.

    Attributes:
        case: the drift.
        seed: of the table.
        localizations: in the table.
        left_nm: root mean square error along y and x together, by method, the mean error aside.
        seconds: processor time, by method.
    """

    case: DriftCase
    seed: int
    localizations: int
    left_nm: dict[str, float]
    seconds: dict[str, float]


def left_nm(found: Floats, table: DriftTable) -> float:
    """Compute the root mean square of the drift that is left."""
    error = found[: len(table.drift_nm)] - table.drift_nm[: len(found)]
    return float(np.sqrt(((error - error.mean(0)) ** 2).mean()))


def offline(table: DriftTable) -> Floats:
    """Estimate the drift of a whole table, (T, 2) nm."""
    return estimate_drift(table.frame, table.yx_nm).at(np.arange(len(table.drift_nm), dtype=float))


def live(table: DriftTable) -> Floats:
    """Follow a table stride by stride, (T, 2) nm as applied at the time."""
    drift, applied, frames = LiveDrift(), np.zeros_like(table.drift_nm), len(table.drift_nm)
    edges = [0, *range(WINDOW, frames, STRIDE), frames]
    for first, end in pairwise(edges):
        new = slice(*np.searchsorted(table.frame, [first, end]))
        drift = drift.with_localizations(table.frame[new], table.yx_nm[new])
        applied[first:end] = drift.curve.at(np.arange(first, end, dtype=float))
    return applied


def score_case(case: DriftCase, seed: int, peers: str | None) -> DriftScore:
    """Score every method on the table of a case."""
    table = simulated(case, seed)
    left, seconds = {}, {}
    methods: dict[str, Callable[[DriftTable], Floats]] = {"offline": offline, "live": live}
    for name, method in methods.items():
        start = time.process_time()
        left[name] = left_nm(method(table), table)
        seconds[name] = time.process_time() - start
    for named, (found, took) in _peers(table, peers).items():
        name = named.split(":")[0]
        error = left_nm(found, table)
        if error < left.get(name, np.inf):
            left[name], seconds[name] = error, took
    return DriftScore(case, seed, len(table.frame), left, seconds)


def _peers(table: DriftTable, python: str | None) -> dict[str, tuple[Floats, float]]:
    """Run other programs: drift and processor time of each choice."""
    if python is None:
        return {}
    names = [
        f"{method}:{count}"
        for method, counts in SEGMENTS.items()
        for count in counts
        if method != "comet" or len(table.frame) <= MAX_COMET
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, target = (str(Path(folder) / name) for name in ("table.npz", "drift.npz"))
        reach = max(100.0, 0.6 * float(np.ptp(table.drift_nm, axis=0).max()))  # as whoever sees the drift would choose
        np.savez(source, frame=table.frame, yx_nm=table.yx_nm, frames=len(table.drift_nm), reach_nm=reach)
        script = Path(__file__).with_name("drift_peers.py")
        try:
            command = [python, "-I", str(script), source, target, *names]
            subprocess.run(command, check=True, timeout=PEER_TIMEOUT_S, capture_output=True)
        except (subprocess.SubprocessError, OSError) as error:
            click.echo(f"other programs: {error}", err=True)
            return {}
        with np.load(target) as data:
            return {name: (data[name], float(data[f"{name} s"])) for name in names if name in data}


def line(score: DriftScore) -> str:
    """Format a score as a line of a Markdown table."""
    case = score.case
    words = [case.kind, f"{case.nm_per_frame:g}", f"{case.frames:,}", f"{case.density:g}", f"{case.a_frame:.0f}"]
    for name in ("offline", "live", *SEGMENTS):
        done = name in score.left_nm
        words.append(f"{score.left_nm[name]:.1f} ({score.seconds[name]:.1f} s)" if done else "")
    return "| " + " | ".join([*words[:5], str(score.seed), *words[5:]]) + " |"


def table_of(scores: list[DriftScore]) -> str:
    """Format scores as a Markdown table."""
    names = ("drift", "nm a frame", "frames", "density", "a frame", "seed", "offline", "live", "RCC", "AIM", "COMET")
    head = f"| {' | '.join(names)} |\n{'|---' * len(names)}|"
    return "\n".join([head, *map(line, scores)]) + "\n"


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("docs/benchmarks"), show_default=True)
@click.option("--seed", "seeds", type=int, multiple=True, default=(201,), show_default=True)
@click.option("--peers", metavar="PYTHON", help="An interpreter that has picassosr and comet-smlm.")
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier run.")
def main(output: Path, seeds: tuple[int, ...], peers: str | None, overwrite: bool) -> None:
    """Score drift correction on simulated tables; writes drift.json and .md."""
    prepare_output(output, "drift", endings=("json", "md"), overwrite=overwrite)
    scores = []
    for case in CASES:
        for seed in seeds:
            scores.append(score_case(case, seed, peers))
            click.echo(line(scores[-1]))
            sys.stdout.flush()
    for name, text in (
        ("drift.json", json.dumps([asdict(score) for score in scores], indent=1) + "\n"),
        ("drift.md", table_of(scores)),
    ):
        with atomic_write(output / name, overwrite=overwrite) as part:
            part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
