"""The `selfstorm` command: reconstruct, simulate, evaluate."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from selfstorm import console
from selfstorm.benchmark_command import benchmark
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
@click.option("--scale", type=click.Choice(["2", "4", "8"]), default="8", show_default=True)
@click.option("--window", default="all", show_default=True, metavar="all|T", help="Frames of one picture.")
@click.option("--stride", type=click.IntRange(1), help="Frames from one window to the next. Default: the window.")
@click.option("--estimate", type=click.Choice(["density", "emitters", "fused"]), default="fused", show_default=True)
@click.option("--localizations", type=click.Path(path_type=Path), metavar="OUT.csv", help="ThunderSTORM's table.")
@click.option("--quality", type=click.Choice(["best", "fast"]), default="best", show_default=True)
@click.option("--model", type=click.Choice(["unrolled", "paper"]), default="unrolled", show_default=True)
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
    localizations: Path | None,
    quality: Any,
    model: Any,
    device: str,
) -> None:
    """Reconstruct MOVIE (TIFF or OME-TIFF) into float32 OME-TIFF pictures, one a window."""
    from selfstorm.device import describe, prepare_device
    from selfstorm.model import Settings
    from selfstorm.movies import MovieFile
    from selfstorm.offline import check_windows, reconstruct_movie
    from selfstorm.ome_tiff import OmeTiffWriter
    from selfstorm.thunderstorm import ThunderstormWriter

    if localizations is not None and (estimate != "fused" or model != "unrolled"):
        raise click.UsageError("--localizations come with --estimate fused of our own model alone.")
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
    settings = Settings(pixel_nm, psf, offset_adu, gain, int(scale), estimate, quality, model)
    output = output or movie.with_name(movie.name.split(".")[0] + "_sr.ome.tif")
    click.echo(f"{movie}: {raw.shape[0]} frames of {raw.shape[1]}x{raw.shape[2]}, pixel {pixel_nm:g} nm")
    click.echo(f"{windows} window(s) of {length} frames on {describe(torch_device)}")
    left_over = len(raw) - ((windows - 1) * stride + length)
    if left_over:
        click.echo(f"the last {left_over} frames fill no window and are not used")
    with ExitStack() as open_files:
        writer = open_files.enter_context(OmeTiffWriter(output, pixel_nm / settings.scale))
        table = open_files.enter_context(ThunderstormWriter(localizations)) if localizations else None
        progress = open_files.enter_context(click.progressbar(length=windows * length, label="reconstructing"))
        tabled = 0
        for start, result in reconstruct_movie(raw, settings, length, stride, torch_device, progress.update):
            writer.add(result.picture, _record(start, length, result))
            if table is not None and result.localizations is not None and result.psf is not None:
                table.append(result.localizations.where(result.localizations.frame >= tabled), result.psf)
                tabled = start + length
    click.echo(f"{result.optics}; {result.camera}; misfit {result.misfit:.3f}")
    for note in result.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"wrote {output}")
    if table is not None:
        click.echo(f"wrote {table.rows} localisations to {localizations}")


def _record(start: int, length: int, result: Any) -> dict[str, Any]:
    """What a picture was made from, for its file."""
    apart = {"picture", "raw_mean", "psf", "localizations"}
    account = {f.name: getattr(result, f.name) for f in fields(result) if f.name not in apart}
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


def _scene_options(command: Any) -> Any:
    """An option for every number of a Scene, named like it."""
    from selfstorm.scene import Scene

    for field in reversed(fields(Scene)):
        if isinstance(field.default, int | float) or field.default is None:
            kind = int if isinstance(field.default, int) else float
            name = "--" + field.name.replace("_", "-")
            command = click.option(name, type=kind, default=field.default, show_default=True)(command)
    return command


@cli.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="MOVIE.ome.tif")
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="TRUTH.csv: frame,y_nm,x_nm,photons")
@click.option("--frames", type=click.IntRange(1), default=400, show_default=True)
@_scene_options
def simulate(output: Path, truth: Path, frames: int, **scene: Any) -> None:
    """Simulate a movie of a living cell, and where every emitter was."""
    from selfstorm.ome_tiff import OmeTiffWriter
    from selfstorm.scene import Scene
    from selfstorm.simulate import simulate as movie
    from selfstorm.truth import TruthWriter

    shots = movie(Scene(**scene), frames=frames)
    part = truth.with_name(truth.name + ".part")
    with OmeTiffWriter(output, scene["pixel_nm"]) as writer:
        with (
            TruthWriter(part) as emitters,
            click.progressbar(shots, length=frames, label="simulating") as progress,
        ):
            for pixels, where in progress:
                writer.add(pixels)
                emitters.append(where)
        part.replace(truth)
    click.echo(f"wrote {output} and {truth}")


@cli.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="frame,y_nm,x_nm (.csv or .csv.gz)")
@click.option("--pixel-nm", type=click.FloatRange(0.1, 10_000), help="Pixel of the picture; else from metadata.")
@click.option(
    "--frames", metavar="FIRST:LAST", help="Truth frames to compare with; else what the picture says, or all."
)
def evaluate(picture: Path, truth: Path, pixel_nm: float | None, frames: str | None) -> None:
    """Score PICTURE against the TRUTH: Pearson, PSNR, SSIM, ground-truth FRC. A line for every window."""
    from selfstorm.evaluate import score_picture
    from selfstorm.ome_tiff import read_pictures
    from selfstorm.truth import read_truth

    file = read_pictures(picture)
    pixel_nm = pixel_nm or file.pixel_nm
    if pixel_nm is None:
        raise InputError("pixel size unknown", where=picture, mend="give it with --pixel-nm")
    emitters = read_truth(truth)
    click.echo("window  frames        pearson  psnr_db  ssim    gt_frc_nm")
    for index, image in enumerate(file.pictures):
        record = file.records[index] if index < len(file.records) else {}
        first, last = _truth_frames(frames, record, emitters)
        seen = emitters[(emitters[:, 0] >= first) & (emitters[:, 0] <= last)]
        if not len(seen):
            raise InputError(f"no emitter in frames {first} to {last}", where=truth, mend="give --frames FIRST:LAST")
        score = score_picture(image, seen[:, 1:3], pixel_nm)
        click.echo(
            f"{index:<7} {f'{first}-{last}':<13} {score.pearson:<8.4f} {score.psnr_db:<8.2f} {score.ssim:<7.4f}"
            f" {score.gt_frc_nm:.1f}"
        )


def _truth_frames(asked: str | None, record: dict[str, Any], emitters: Any) -> tuple[int, int]:
    """First and last truth frame that belong to a picture: as asked, as its file says, or all."""
    if asked is not None:
        first, _, last = asked.partition(":")
        if not (first.isdecimal() and last.isdecimal()):
            raise click.UsageError(f"--frames takes FIRST:LAST, such as 0:99, not '{asked}'.")
        return int(first), int(last)
    first_frame = record.get("first_frame", record.get("first_seq", 0))
    last_frame = record.get("last_frame", record.get("last_seq", emitters[:, 0].max()))
    return int(first_frame), int(last_frame)


cli.add_command(benchmark)


def main() -> None:
    """Entry point of `selfstorm`."""
    console.run(cli)
