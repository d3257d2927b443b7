"""The `selfstorm` command: reconstruct, simulate, evaluate."""

from __future__ import annotations

from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from selfstorm import console
from selfstorm.errors import InputError

if TYPE_CHECKING:
    from selfstorm.optics import Psf


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("selfstorm"))
def cli() -> None:
    """Super-resolved pictures from movies of blinking emitters, learned from the movie alone."""


@cli.command()
@click.argument("movie", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=None, help="Default: MOVIE_sr.ome.tif")
@click.option("--pixel-nm", type=click.FloatRange(1, 10_000), help="Camera pixel in the sample; else from metadata.")
@click.option("--na", type=click.FloatRange(0.05, 1.8), help="Numerical aperture, with --wavelength-nm.")
@click.option("--wavelength-nm", type=click.FloatRange(200, 2000), help="Emission wavelength, with --na.")
@click.option("--psf-sigma-nm", type=click.FloatRange(10, 5000), help="Width of a Gaussian PSF.")
@click.option("--offset-adu", type=float, help="Camera offset; else estimated.")
@click.option("--gain", type=click.FloatRange(1e-3, 1e4), help="ADU per photon; else estimated.")
@click.option("--scale", type=click.Choice(["2", "4", "8"]), default="4", show_default=True)
@click.option("--window", default="all", show_default=True, metavar="all|T", help="Frames of one picture.")
@click.option("--stride", type=click.IntRange(1), help="Frames from one window to the next. Default: the window.")
@click.option(
    "--estimate", type=click.Choice(["density", "emitters", "fused"]), default="emitters", show_default=True
)
@click.option("--quality", type=click.Choice(["best", "fast"]), default="best", show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
def reconstruct(
    movie: Path,
    output: Path | None,
    pixel_nm: float | None,
    na: float | None,
    wavelength_nm: float | None,
    psf_sigma_nm: float | None,
    offset_adu: float | None,
    gain: float | None,
    scale: str,
    window: str,
    stride: int | None,
    estimate: Any,
    quality: Any,
    device: str,
) -> None:
    """Reconstruct MOVIE (TIFF or OME-TIFF) into float32 OME-TIFF pictures, one a window."""
    from selfstorm.device import describe, prepare_device
    from selfstorm.model import Settings
    from selfstorm.movies import MovieFile
    from selfstorm.offline import check_windows, reconstruct_movie
    from selfstorm.ome_tiff import PictureWriter

    psf = _psf(na, wavelength_nm, psf_sigma_nm)
    torch_device = prepare_device(device)
    with MovieFile(movie) as file:
        pixel_nm = pixel_nm or file.pixel_nm
        if pixel_nm is None:
            raise InputError("pixel size unknown", where=movie, mend="give it with --pixel-nm")
        length = file.length if window == "all" else _frames(window)
        stride = stride or length
        windows = check_windows(file.length, length, stride)
        raw = file.frames()
    settings = Settings(pixel_nm, psf, offset_adu, gain, int(scale), estimate, quality)
    output = output or movie.with_name(movie.name.split(".")[0] + "_sr.ome.tif")
    click.echo(f"{movie}: {raw.shape[0]} frames of {raw.shape[1]}x{raw.shape[2]}, pixel {pixel_nm:g} nm")
    click.echo(f"{windows} window(s) of {length} frames on {describe(torch_device)}")
    left_over = len(raw) - ((windows - 1) * stride + length)
    if left_over:
        click.echo(f"the last {left_over} frames fill no window and are not used")
    with PictureWriter(output, pixel_nm / settings.scale) as writer:
        pictures = reconstruct_movie(raw, settings, length, stride, torch_device)
        with click.progressbar(pictures, length=windows, label="reconstructing") as progress:
            for start, result in progress:
                writer.add(result.picture, _record(start, length, result))
    click.echo(f"{result.optics}; {result.camera}; misfit {result.misfit:.3f}")
    for note in result.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"wrote {output}")


def _record(start: int, length: int, result: Any) -> dict[str, Any]:
    """What a picture was made from, for its file."""
    pictures = {"picture", "raw_mean"}
    account = {f.name: getattr(result, f.name) for f in fields(result) if f.name not in pictures}
    return {"first_frame": start, "last_frame": start + length - 1, **account}


def _psf(na: float | None, wavelength_nm: float | None, sigma_nm: float | None) -> Psf | None:
    from selfstorm.optics import Airy, Gaussian

    if (na is None) != (wavelength_nm is None):
        raise click.UsageError("--na and --wavelength-nm belong together: give both or neither.")
    if sigma_nm is not None:
        if na is not None:
            raise click.UsageError("the optics are given twice: give --psf-sigma-nm or --na with --wavelength-nm.")
        return Gaussian(sigma_nm)
    return Airy(na, wavelength_nm) if na is not None and wavelength_nm is not None else None


def _frames(window: str) -> int:
    if not window.isdecimal():
        raise click.UsageError(f"--window takes 'all' or a number of frames, not '{window}'.")
    return int(window)


def main() -> None:
    """Entry point of `selfstorm`."""
    console.run(cli)
