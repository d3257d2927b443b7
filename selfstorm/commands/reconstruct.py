"""`selfstorm reconstruct`: super-resolved pictures of a recorded movie."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from selfstorm.commands.microscope_options import Microscope, microscope_options
from selfstorm.commands.output_options import overwrite_option
from selfstorm.errors import InputError
from selfstorm.io.atomic_files import check_outputs, stem
from selfstorm.stream.model_kinds import MODEL_KINDS, kind_of, load_model, new_model


@click.command()
@click.argument("movie", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=None, help="Default: MOVIE_sr.ome.tif")
@click.option("--select", "selected", multiple=True, metavar="AXIS=INDEX", help="Channel, z or position of the movie.")
@microscope_options
@click.option("--scale", type=click.Choice(["2", "4", "8"]), default="8", show_default=True)
@click.option("--window", default="all", show_default=True, metavar="all|T", help="Frames of one picture.")
@click.option("--stride", type=click.IntRange(1), help="Frames from one window to the next. Default: the window.")
@click.option("--estimate", type=click.Choice(["density", "emitters", "fused"]), default="fused", show_default=True)
@click.option("--localizations", type=click.Path(path_type=Path), metavar="OUT.csv", help="ThunderSTORM's table.")
@click.option("--error-map", type=click.Path(path_type=Path), metavar="OUT.tif", help="Residual of the mean frame.")
@click.option("--quality", type=click.Choice(["best", "fast"]), default="best", show_default=True)
@click.option("--tuning-steps", type=click.IntRange(0, 100), default=8, show_default=True, help="By gradient; 0: none.")
@click.option("--model", type=click.Choice(list(MODEL_KINDS)), default="unrolled", show_default=True)
@click.option("--start-from", type=click.Path(path_type=Path), metavar="MODEL", help="Start from a saved model.")
@click.option(
    "--save-model", type=click.Path(path_type=Path), metavar="MODEL", help="Save the model learned from this movie."
)
@overwrite_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
def reconstruct(
    movie: Path,
    output: Path | None,
    selected: tuple[str, ...],
    microscope: Microscope,
    scale: str,
    window: str,
    stride: int | None,
    estimate: Any,
    localizations: Path | None,
    error_map: Path | None,
    quality: Any,
    tuning_steps: int,
    model: Any,
    start_from: Path | None,
    save_model: Path | None,
    overwrite: bool,
    device: str,
) -> None:
    """Reconstruct MOVIE into float32 OME-TIFF pictures, one a window.

    MOVIE: TIFF, OME-TIFF, ImageJ or Micro-Manager stack, NDTiff, OME-Zarr, or a recording of the daemon.
    """
    from selfstorm.compute.device import describe, prepare_device
    from selfstorm.io.movies import MovieFile
    from selfstorm.io.ome_tiff import OmeTiffWriter
    from selfstorm.io.thunderstorm import ThunderstormWriter
    from selfstorm.metrics.registry import METRICS
    from selfstorm.stream.compute_resources import Compute
    from selfstorm.stream.engine import StreamEngine
    from selfstorm.stream.model_protocol import StreamModel
    from selfstorm.stream.offline import FailedWindow, check_memory, check_windows, reconstruct_movie
    from selfstorm.stream.settings import Settings

    kind = kind_of(model)
    if not kind.saves and (start_from or save_model):
        raise click.UsageError("--start-from and --save-model are for our own model alone.")
    if localizations is not None and (estimate != "fused" or not kind.localizes):
        raise click.UsageError("--localizations come with --estimate fused of our own model alone.")
    if error_map is not None and not kind.localizes:
        raise click.UsageError("--error-map comes with our own model alone: the paper's knows no optics.")
    output = output or default_output(movie)
    outputs = {"-o": output, "--localizations": localizations, "--error-map": error_map, "--save-model": save_model}
    check_outputs(outputs, [movie] if movie.is_file() else [], overwrite=overwrite)
    psf = microscope.psf()
    torch_device = prepare_device(device)
    with MovieFile(movie, _selection(selected)) as file:
        for note in file.notes:
            click.echo(f"note: {note}", err=True)
        check_outputs(outputs, [*file.paths, *filter(None, [start_from])], overwrite=overwrite)
        pixel_nm = microscope.pixel_nm_or(file.pixel_nm, movie)
        length = file.length if window == "all" else _frames(window)
        stride = stride or length
        windows = check_windows(file.length, length, stride)
        raw = file.frames()
        stated = file.acquisition
        offset_adu = stated.offset_adu if microscope.offset_adu is None else microscope.offset_adu
        gain = microscope.gain or stated.gain_adu_per_electron
    settings = Settings(pixel_nm, psf, offset_adu, gain, int(scale), estimate, quality, model, tuning_steps)
    compute = Compute(torch_device)

    def checked(model: StreamModel) -> StreamModel:
        check_memory(model, length)
        return model

    engine = StreamEngine(lambda first_window: checked(new_model(settings, first_window, compute)))
    if start_from is not None:
        engine.go_on_from(checked(load_model(start_from, settings, (raw.shape[1], raw.shape[2]), compute)))
    click.echo(f"{movie}: {raw.shape[0]} frames of {raw.shape[1]}x{raw.shape[2]}, pixel {pixel_nm:g} nm")
    click.echo(f"{windows} window(s) of {length} frames on {describe(torch_device)}")
    left_over = len(raw) - ((windows - 1) * stride + length)
    if left_over:
        click.echo(f"the last {left_over} frames fill no window and are not used")
    with ExitStack() as open_files:
        writer = open_files.enter_context(OmeTiffWriter(output, pixel_nm / settings.scale, overwrite=overwrite))
        table = errors = None
        if localizations is not None:
            table = open_files.enter_context(ThunderstormWriter(localizations, overwrite=overwrite))
        if error_map is not None:
            errors = open_files.enter_context(OmeTiffWriter(error_map, pixel_nm, overwrite=overwrite))
        progress = open_files.enter_context(click.progressbar(length=windows * length, label="reconstructing"))
        tabled, result, failed = 0, None, []
        for start, made in reconstruct_movie(raw, engine, length, stride, progress.update):
            if isinstance(made, FailedWindow):
                failed.append(f"no picture of frames {start} to {start + length - 1}: {made.why}")
                continue
            result = made
            writer.add(result.picture, _record(start, length, result))
            if errors is not None and result.error_map is not None:
                errors.add(
                    result.error_map, {"first_frame": start, "last_frame": start + length - 1, "unit": "photons"}
                )
            if table is not None and result.localizations is not None and result.psf is not None:
                table.append(result.localizations.where(result.localizations.frame >= tabled), result.psf)
                tabled = start + length
        if result is None:
            raise InputError(failed[0], where=movie, hint="give a movie with more valid frames")
    click.echo(f"{result.optics}; {result.camera}")
    click.echo(METRICS.line(result.metrics))
    if result.fit is not None:
        click.echo(f"fine-tuning of the optics {result.fit}")
    for note in (*failed, *result.notes):
        click.echo(f"note: {note}", err=True)
    click.echo(f"wrote {output}")
    if save_model is not None and engine.model is not None:
        engine.model.save(save_model, f"{movie}: {len(raw)} frames", overwrite=overwrite)
        click.echo(f"wrote the learned model to {save_model}")
    if table is not None:
        click.echo(f"wrote {table.rows} localisations to {localizations}")
    if errors is not None:
        click.echo(f"wrote the error map to {error_map}")


def default_output(movie: Path) -> Path:
    """Name the pictures of a movie: beside it, without its ending."""
    folder = movie.parent if movie.name not in ("", "..") else movie.resolve().parent
    return folder / f"{stem(movie)}_sr.ome.tif"


def _record(start: int, length: int, result: Any) -> dict[str, Any]:
    """Describe what a picture was made from, for its file."""
    apart = {"picture", "raw_mean", "fit", "psf", "localizations", "error_map"}
    account = {f.name: getattr(result, f.name) for f in fields(result) if f.name not in apart}
    account["fine_tuning"] = str(result.fit or "")
    return {"first_frame": start, "last_frame": start + length - 1, **account}


def _selection(selected: tuple[str, ...]) -> dict[str, int | str]:
    pairs = [one.partition("=") for one in selected]
    if wrong := [one for one, pair in zip(selected, pairs, strict=True) if not (pair[0] and pair[2])]:
        raise click.UsageError(f"--select takes AXIS=INDEX, as in channel=0, not '{wrong[0]}'.")
    return {axis: int(place) if place.isdecimal() else place for axis, _, place in pairs}


def _frames(window: str) -> int:
    if not window.isdecimal():
        raise click.UsageError(f"--window takes 'all' or a number of frames, not '{window}'.")
    return int(window)
