"""`python -m benchmarks.halves`: resolution that other frames confirm.

Frames are dealt into two halves in three ways, each half is reconstructed alone, and the pictures are compared. The
halves share no frame, so noise and its deconvolution differ between them and structure does not. Short blocks share
the molecules that blink in both; what long blocks share less is that; what earlier and later frames share less still is
drift, motion or bleaching. Needs no ground truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import selfstorm
from benchmarks.figure import scale_bar
from benchmarks.given_optics import claimed_resolution
from selfstorm.api import Result
from selfstorm.commands.console import run
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.io.atomic_files import check_outputs
from selfstorm.io.movies import MovieFile
from selfstorm.metrics.frc import frc_resolution_nm
from selfstorm.stream.processing_level import Quality

BLOCK_FRAMES = 10
LONG_BLOCKS = 6  # of a movie
SHOWN_QUANTILE = 0.997


@dataclass(frozen=True, slots=True)
class Halves:
    """Pictures of two halves of a movie, compared.

    Attributes:
        dealt: how the frames were dealt.
        first, second: reconstructions, (scale * H, scale * W).
        correlation: Pearson, of the halves' pictures.
        frc_nm: Fourier ring correlation resolution of the halves.
    """

    dealt: str
    first: Array
    second: Array
    correlation: float
    frc_nm: float


def ways_of_dealing(frames: int, block: int = BLOCK_FRAMES) -> dict[str, Array]:
    """List three ways of dealing frames, each by the second half's frames."""
    number = np.arange(frames)
    return {
        f"blocks of {block}": number // block % 2 == 1,
        f"blocks of {max(frames // LONG_BLOCKS, 1)}": number // max(frames // LONG_BLOCKS, 1) % 2 == 1,
        "earlier and later": number >= frames // 2,
    }


def compare_halves(dealt: str, second: Array, raw: Array, reconstruct: Callable[[Array], Result]) -> Halves:
    """Reconstruct two halves of a movie.

    Args:
        dealt: how the frames were dealt.
        second: (T,) true for those of the second half.
        raw: (T, H, W) ADU.
        reconstruct: makes a picture of frames.

    Raises:
        InputError: A half shows nothing, so there is nothing to compare.
    """
    one, other = reconstruct(raw[~second]), reconstruct(raw[second])
    if not (one.picture.any() and other.picture.any()):
        raise InputError("a half of the frames shows nothing", where="halves", hint="give more or brighter frames")
    correlation = float(np.corrcoef(one.picture.ravel(), other.picture.ravel())[0, 1])
    frc_nm = frc_resolution_nm(one.picture, other.picture, one.pixel_nm)
    return Halves(dealt, one.picture, other.picture, correlation, frc_nm)


def draw(mean: Array, whole: Array, claimed: str, halves: Halves, pixel_nm: float, path: Path) -> None:
    """Draw mean, whole and halves side by side, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    shown = (
        ("camera mean", mean, "gray"),
        (f"all frames, claims {claimed}", whole, "inferno"),
        (f"half of the frames, {halves.dealt}", halves.first, "inferno"),
        (f"the other half: correlation {halves.correlation:.2f}, FRC {halves.frc_nm:.0f} nm", halves.second, "inferno"),
    )
    height_nm, width_nm = (side * pixel_nm for side in mean.shape)
    for axes, (title, picture, colours) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        axes.imshow(
            picture,
            cmap=colours,
            vmin=0 if colours == "inferno" else None,
            vmax=np.quantile(picture, SHOWN_QUANTILE),
            extent=(0, width_nm, height_nm, 0),
        )
        scale_bar(axes, 0, height_nm, width_nm)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


@click.command()
@click.argument("movie", type=click.Path(path_type=Path))
@click.option("--pixel-nm", type=click.FloatRange(1, 10_000), required=True, help="Camera pixel in the sample.")
@click.option("--block", type=click.IntRange(1), default=BLOCK_FRAMES, show_default=True, help="Frames kept together.")
@click.option("--scale", type=click.Choice(["2", "4", "8"]), default="8", show_default=True)
@click.option("--quality", type=click.Choice(["best", "fast"]), default="best", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default="halves.png", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the picture of an earlier run.")
def main(movie: Path, pixel_nm: float, block: int, scale: str, quality: Quality, output: Path, overwrite: bool) -> None:
    """Compare reconstructions of two halves of MOVIE, dealt in three ways."""
    check_outputs({"-o": output}, [movie], overwrite=overwrite)

    def reconstruct(frames: Array) -> Result:
        return selfstorm.reconstruct(frames, pixel_nm, scale=int(scale), quality=quality)

    with MovieFile(movie) as file:
        raw = file.frames()
    whole = reconstruct(raw)
    claimed = claimed_resolution(whole)
    click.echo(f"the picture of all frames claims {claimed}")
    for number, (dealt, second) in enumerate(ways_of_dealing(len(raw), block).items()):
        halves = compare_halves(dealt, second, raw, reconstruct)
        click.echo(f"halves of {dealt} correlate {halves.correlation:.3f}, FRC {halves.frc_nm:.0f} nm")
        if number == 0:
            draw(raw.mean(0), whole.picture, claimed, halves, pixel_nm, output)


if __name__ == "__main__":
    run(main)
