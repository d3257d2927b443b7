"""`python -m benchmarks.halves`: resolution that other frames confirm.

Frames are dealt by blocks into two halves, each is reconstructed alone, and the pictures are compared. The halves
share
no frame, so noise and its deconvolution differ between them and structure does not. Needs no ground truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import selfstorm
from selfstorm.commands.console import run
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.io.movies import MovieFile
from selfstorm.metrics.frc import frc_resolution_nm

BLOCK_FRAMES = 10  # longer than an emitter shines, else both halves hold the same blinks
SHOWN_QUANTILE = 0.997


@dataclass(frozen=True, slots=True)
class Halves:
    """Pictures of a whole movie and of its two halves, compared.

    Attributes:
        mean: (H, W) ADU, of all frames.
        whole, first, second: reconstructions, (scale * H, scale * W).
        correlation: Pearson, of the halves' pictures.
        frc_nm: Fourier ring correlation resolution of the halves.
        claimed_nm: resolution that the whole picture claims for itself; None where it claims none.
    """

    mean: Array
    whole: Array
    first: Array
    second: Array
    correlation: float
    frc_nm: float
    claimed_nm: float | None


def compare_halves(raw: Array, pixel_nm: float, scale: int = 8, block: int = BLOCK_FRAMES) -> Halves:
    """Reconstruct a movie and its interleaved halves.

    Args:
        raw: (T, H, W) ADU.
        pixel_nm: camera pixel in the sample.
        scale: SR cells along a camera pixel.
        block: frames that stay together.

    Raises:
        InputError: A half shows nothing, so there is nothing to compare.
    """
    odd = (np.arange(len(raw)) // block) % 2 == 1
    whole, first, second = (
        selfstorm.reconstruct(frames, pixel_nm, scale=scale) for frames in (raw, raw[~odd], raw[odd])
    )
    if not (first.picture.any() and second.picture.any()):
        raise InputError("a half of the frames shows nothing", where="halves", hint="give more or brighter frames")
    return Halves(
        raw.mean(0),
        whole.picture,
        first.picture,
        second.picture,
        correlation=float(np.corrcoef(first.picture.ravel(), second.picture.ravel())[0, 1]),
        frc_nm=frc_resolution_nm(first.picture, second.picture, whole.pixel_nm),
        claimed_nm=whole.metrics.get("resolution_nm"),
    )


def draw(halves: Halves, path: Path) -> None:
    """Draw mean, whole and halves side by side, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    claimed = "claims no resolution" if halves.claimed_nm is None else f"claims {halves.claimed_nm:.0f} nm"
    shown = (
        ("camera mean", halves.mean, "gray"),
        (f"all frames, {claimed}", halves.whole, "inferno"),
        ("half of the frames", halves.first, "inferno"),
        (f"the other half: correlation {halves.correlation:.2f}, FRC {halves.frc_nm:.0f} nm", halves.second, "inferno"),
    )
    for axes, (title, picture, colours) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        axes.imshow(
            picture, cmap=colours, vmin=0 if colours == "inferno" else None, vmax=np.quantile(picture, SHOWN_QUANTILE)
        )
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


@click.command()
@click.argument("movie", type=click.Path(path_type=Path))
@click.option("--pixel-nm", type=click.FloatRange(1, 10_000), required=True, help="Camera pixel in the sample.")
@click.option("--block", type=click.IntRange(1), default=BLOCK_FRAMES, show_default=True, help="Frames kept together.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="halves.png", show_default=True)
def main(movie: Path, pixel_nm: float, block: int, output: Path) -> None:
    """Compare reconstructions of the two halves of MOVIE."""
    with MovieFile(movie) as file:
        found = compare_halves(file.frames(), pixel_nm, block=block)
    claimed = "none" if found.claimed_nm is None else f"{found.claimed_nm:.0f} nm"
    click.echo(
        f"halves correlate {found.correlation:.3f}, FRC {found.frc_nm:.0f} nm; the whole picture claims {claimed}"
    )
    draw(found, output)


if __name__ == "__main__":
    run(main)
