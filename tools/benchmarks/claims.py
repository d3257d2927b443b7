"""`python -m benchmarks.claims`: claims on pictures, beside the truth.

44 small simulated movies of 22 kinds are reconstructed; resolution, fidelity, false localizations and verdict
are tabulated beside what the simulation knows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

import selfstorm
from benchmarks.claim_movies import ClaimMovie, SimulatedClaim, claim_movies
from benchmarks.outputs import prepare_output
from selfstorm.commands.console import run
from selfstorm.metrics.frc import crossing_period_nm
from selfstorm.metrics.ground_truth import FINE_NM, render, score_localizations, score_picture
from selfstorm.metrics.split_halves import MAX_RESOLUTION_NM, correlation
from selfstorm.metrics.verdict import verdict

SCALE = 8  # cells of 12.5 nm
TRUE_THRESHOLD = 0.5
MAX_FACTOR, MIN_FACTOR = 1.35, 0.75
GOOD_PEARSON, BAD_PEARSON = 0.9, 0.7
COLUMNS = ("kind", "Pearson", "structure", "fidelity", "structure nm", "claimed nm", "false", "claimed", "verdict")


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """Claims on one movie beside the truth; None where there is none.

    Attributes:
        kind, role: Of the movie.
        localizations: How many were found.
        pearson: Of the picture with the emitters that shone.
        structure_pearson: With all dyes, both blurred by 20 nm.
        fidelity: The claim of structure_pearson.
        structure_nm: Period at which the picture correlates with all dyes by 1/2; None where it is wider than a PSF.
        resolution_nm: The claim of it.
        false_share: Of the localizations.
        claimed_false_share: The claim of it.
        verdict, level: The word, and how serious it is.
        agreement: Of the picture, imaged again, with the mean frame.
    """

    kind: str
    role: str
    empty: bool
    localizations: int
    pearson: float | None
    structure_pearson: float | None
    fidelity: float | None
    structure_nm: float | None
    resolution_nm: float | None
    false_share: float | None
    claimed_false_share: float | None
    verdict: str
    level: str
    agreement: float | None


def measure(movie: ClaimMovie) -> ClaimRow:
    """Reconstruct a movie, and compare what is claimed with the truth."""
    truth = movie.simulate()
    made = selfstorm.reconstruct(
        truth.frames, movie.scene.pixel_nm, psf=movie.given_psf, scale=SCALE, quality="fast", device="cpu"
    )
    found, metrics = made.localizations, made.metrics
    count = 0 if found is None else len(found)
    judged = verdict(metrics)
    pearson, structure, structure_nm, false_share = None, None, None, None
    if not movie.empty and made.picture.any():
        pearson = score_picture(made.picture, truth.emitters[:, 1:3], FINE_NM).pearson
        structure, structure_nm = compare_structure(made.picture.astype(float), truth)
    if found is not None and count:
        rows = np.stack([found["frame"], found["y_nm"], found["x_nm"]], 1)
        false_share = 1.0 if movie.empty else 1 - score_localizations(rows, truth.emitters[:, :3]).precision
    return ClaimRow(
        movie.kind,
        movie.role,
        movie.empty,
        count,
        pearson,
        structure,
        metrics.get("fidelity"),
        structure_nm,
        metrics.get("resolution_nm"),
        false_share,
        metrics.get("false_share"),
        "" if judged is None else judged.value,
        "" if judged is None else judged.level,
        metrics.get("agreement"),
    )


def compare_structure(picture: Any, truth: SimulatedClaim) -> tuple[float, float | None]:
    """Return correlation with all dyes, and the resolution of them in nm."""
    dyes = render(truth.dyes_nm, picture.shape, FINE_NM)
    period_nm = crossing_period_nm(picture, dyes, FINE_NM, TRUE_THRESHOLD)
    return correlation(picture, dyes), None if period_nm is None or period_nm > MAX_RESOLUTION_NM else period_nm


def summary(rows: Sequence[ClaimRow]) -> list[str]:
    """Count how many claims are right."""
    there = [row for row in rows if not row.empty]
    factors = [factor for row in there if (factor := resolution_factor(row)) is not None]
    both = [row for row in there if row.false_share and row.claimed_false_share is not None]
    false_factors = [max(row.claimed_false_share or 0, 0.005) / max(row.false_share or 0, 0.005) for row in both]
    errors = [row.fidelity - row.structure_pearson for row in there if row.fidelity and row.structure_pearson]
    bad = [row for row in rows if row.pearson is None or row.pearson < BAD_PEARSON]
    good = [row for row in there if (row.pearson or 0) > GOOD_PEARSON]
    return [
        f"resolution within a factor {MAX_FACTOR}: {_share(1 / MAX_FACTOR <= f <= MAX_FACTOR for f in factors)}; "
        f"finer than {MIN_FACTOR} of the truth: {_share(f < MIN_FACTOR for f in factors)}",
        f"fidelity less structure's Pearson: {np.mean(errors):+.3f}, at most {np.abs(errors).max():.3f}",
        f"false localizations within a factor 2: {_share(0.5 <= f <= 2 for f in false_factors)}",
        f"'good' on a bad picture (below {BAD_PEARSON}, or empty): {_share(row.level == 'good' for row in bad)}",
        f"'bad' on a good picture (above {GOOD_PEARSON}): {_share(row.level == 'bad' for row in good)}",
        f"localizations in empty movies: {', '.join(str(row.localizations) for row in rows if row.empty)}",
    ]


def resolution_factor(row: ClaimRow) -> float | None:
    """Divide the claimed by the true resolution.

    Where either is not finer than a PSF, the PSF's width stands for it; None for a movie without structure.
    """
    if row.structure_pearson is None:
        return None
    return (row.resolution_nm or MAX_RESOLUTION_NM) / (row.structure_nm or MAX_RESOLUTION_NM)


def table(rows: Iterable[ClaimRow]) -> list[str]:
    """Write the rows as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for row in rows:
        cells = (
            f"{row.kind}{', held out' * (row.role == 'held out')}",
            _text(row.pearson, ".2f"),
            _text(row.structure_pearson, ".2f"),
            _text(row.fidelity, ".2f"),
            _text(row.structure_nm, ".0f"),
            _text(row.resolution_nm, ".0f"),
            _text(row.false_share, ".0%"),
            _text(row.claimed_false_share, ".0%"),
            f"{row.verdict} ({row.level})" if row.verdict else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def draw(rows: Sequence[ClaimRow], path: Path) -> None:
    """Draw claims over truth: resolution, fidelity, false localizations."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = (
        ("resolution of the structure (nm)", "structure_nm", "resolution_nm", (30, 50, 100, 200, 300), MAX_FACTOR),
        ("correlation with the structure", "structure_pearson", "fidelity", (0, 0.2, 0.4, 0.6, 0.8, 1), None),
        ("share of false localizations", "false_share", "claimed_false_share", (0.005, 0.01, 0.03, 0.1, 0.3, 1), 2.0),
    )
    for axes, (title, true, claimed, ticks, factor) in zip(figure.subplots(1, 3), panels, strict=True):
        limits = ticks[0], ticks[-1]
        for role, colour in (("tuning", "0.6"), ("held out", "tab:red")):
            pairs = [(getattr(row, true), getattr(row, claimed)) for row in rows if row.role == role and not row.empty]
            points = np.array([(t, c) for t, c in pairs if t is not None and c is not None]).reshape(-1, 2)
            axes.plot(*points.clip(*limits).T, "o", color=colour, label=f"{role} kinds", alpha=0.8)
        axes.plot(limits, limits, "k-", linewidth=0.8)
        if factor is not None:
            for side in (factor, 1 / factor):
                axes.plot(limits, [side * limit for limit in limits], "k:", linewidth=0.8)
        scale = "linear" if factor is None else "log"
        axes.set(xlabel=f"true {title}", ylabel="claimed", xscale=scale, yscale=scale, xlim=limits, ylim=limits)
        axes.minorticks_off()
        for set_ticks in (axes.set_xticks, axes.set_yticks):
            set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    figure.axes[0].legend()
    figure.savefig(path, dpi=100)


def report(rows: Sequence[ClaimRow], seed: int) -> str:
    """Write a page of Markdown."""
    roles = [(role, [row for row in rows if row.role == role]) for role in ("tuning", "held out")]
    parts = [f"* {role} kinds: {line}" for role, some in roles if some for line in summary(some)]
    return "\n".join(
        (
            "# Claims beside the truth",
            "",
            f"Made by `cd tools; python -m benchmarks.claims --seed {seed} -o ../docs/benchmarks --overwrite`. Movies: "
            "`tools/benchmarks/claim_movies.py`. *Pearson* is with the emitters that shone, *structure* with all dyes.",
            "",
            "![claims over truth](claims.png)",
            "",
            *parts,
            "",
            *table(rows),
            "",
        )
    )


def _share(outcomes: Iterable[bool]) -> str:
    listed = list(outcomes)
    return f"{sum(listed)} of {len(listed)}"


def _text(value: float | None, form: str) -> str:
    return "–" if value is None or not math.isfinite(value) else format(value, form)


def measured(movies: Iterable[ClaimMovie], tell: Callable[[str], None]) -> list[ClaimRow]:
    """Measure all movies, one after the other."""
    rows = []
    for movie in movies:
        rows.append(measure(movie))
        tell(table(rows[-1:])[-1])
    return rows


@click.command()
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of structures and noise.")
@click.option("--role", type=click.Choice(["all", "tuning", "held out"]), default="all", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path(), show_default=True, metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier run.")
def main(seed: int, role: str, output: Path, overwrite: bool) -> None:
    """Compare claims with the truth; writes claims.json, .md and .png."""
    prepare_output(output, "claims", overwrite=overwrite)
    movies = [movie for movie in claim_movies(seed) if role in ("all", movie.role)]
    rows = measured(movies, click.echo)
    click.echo("\n".join(summary(rows)))
    record = {"seed": seed, "movies": [asdict(row) for row in rows]}
    (output / "claims.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (output / "claims.md").write_text(report(rows, seed), encoding="utf-8")
    draw(rows, output / "claims.png")


if __name__ == "__main__":
    run(main)
