"""`selfstorm reconstruct`: super-resolved pictures of a recorded movie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from selfstorm.commands.console import print_note
from selfstorm.commands.microscope_options import Microscope, microscope_options
from selfstorm.commands.movie_options import MovieChoice, movie_options
from selfstorm.commands.output_options import overwrite_option
from selfstorm.commands.progress import progress
from selfstorm.commands.reconstruction_files import OutputPaths, ReconstructionFiles, default_output, provenance
from selfstorm.commands.reconstruction_text import doubts, found, planned, tell_others
from selfstorm.errors import InputError
from selfstorm.stream.model_kinds import MODEL_KINDS, ModelKind, kind_of, load_model, new_model

if TYPE_CHECKING:
    from selfstorm.reconstruction import Reconstruction
    from selfstorm.stream.compute_resources import Compute
    from selfstorm.stream.engine import StreamEngine
    from selfstorm.stream.model_protocol import StreamModel
    from selfstorm.stream.settings import Settings

GB = 1e9


@click.command()
@click.argument("movie", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="OME-TIFF or, where the name ends in .zarr, OME-Zarr.  [default: MOVIE_sr.ome.tif]",
)
@movie_options
@microscope_options
@click.option(
    "--scale", type=click.Choice(["2", "4", "8"]), default="8", show_default=True, help="Magnification of the picture."
)
@click.option("--window", default="all", show_default=True, metavar="all|T", help="Frames of one picture.")
@click.option("--stride", type=click.IntRange(1), help="Frames from one window to the next. Default: the window.")
@click.option(
    "--estimate",
    type=click.Choice(["density", "emitters", "fused"]),
    default="fused",
    show_default=True,
    help="Fluctuations, emitters, or both with localizations.",
)
@click.option(
    "--localizations",
    type=click.Path(path_type=Path),
    metavar="OUT.csv|.hdf5|.smlm",
    help="Table for ThunderSTORM, Picasso, or as SMLM file.",
)
@click.option("--linked", is_flag=True, help="Count an emitter in consecutive frames once in that table.")
@click.option("--max-dark", type=click.IntRange(0, 100), default=0, show_default=True, help="Frames it may be dark.")
@click.option("--error-map", type=click.Path(path_type=Path), metavar="OUT.tif", help="Residual of the mean frame.")
@click.option(
    "--trust-map",
    type=click.Path(path_type=Path),
    metavar="OUT.tif",
    help="Where two halves of the frames agree, 0 to 1; NaN where not compared.",
)
@click.option(
    "--accumulated",
    type=click.Path(path_type=Path),
    metavar="OUT.tif",
    help="All frames in one, drift-corrected.",
)
@click.option("--drift", type=click.Path(path_type=Path), metavar="OUT.csv", help="Drift of the stage, a row a frame.")
@click.option(
    "--quality",
    type=click.Choice(["best", "fast"]),
    default="best",
    show_default=True,
    help="More or fewer iterations.",
)
@click.option(
    "--motion",
    type=click.Choice(["corrected", "as-it-lay"]),
    default="corrected",
    show_default=True,
    help="A moving sample at each window's newest frame, or its frames added up as they are.",
)
@click.option(
    "--tuning-steps",
    type=click.IntRange(0, 100),
    default=8,
    show_default=True,
    help="Steps of the PSF's fine-tuning; 0: none.",
)
@click.option(
    "--model",
    type=click.Choice(list(MODEL_KINDS)),
    default="unrolled",
    show_default=True,
    help="Ours, ours in tiles, or the published one.",
)
@click.option(
    "--tile-px",
    type=click.IntRange(min=16),
    metavar="PX",
    help="Longest side of a tile of --model tiled; by the device's memory if not given.",
)
@click.option("--start-from", type=click.Path(path_type=Path), metavar="MODEL", help="Start from a saved model.")
@click.option(
    "--save-model", type=click.Path(path_type=Path), metavar="MODEL", help="Save the model learned from this movie."
)
@overwrite_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
def reconstruct(
    movie: Path,
    output: Path | None,
    choice: MovieChoice,
    microscope: Microscope,
    scale: str,
    window: str,
    stride: int | None,
    estimate: Any,
    localizations: Path | None,
    linked: bool,
    max_dark: int,
    error_map: Path | None,
    trust_map: Path | None,
    accumulated: Path | None,
    drift: Path | None,
    quality: Any,
    motion: Any,
    tuning_steps: int,
    model: Any,
    tile_px: int | None,
    start_from: Path | None,
    save_model: Path | None,
    overwrite: bool,
    device: str,
) -> None:
    """Reconstruct MOVIE into float32 OME-TIFF pictures, one a window.

    MOVIE: TIFF, OME-TIFF, ImageJ or Micro-Manager stack, separate image files, NDTiff, OME-Zarr, or a recording of the
    daemon. It is read window by window.
    """
    click.echo(f"reading {movie}")  # before torch is loaded
    from selfstorm.compute.device import describe, prepare_device
    from selfstorm.io.localization_table import TableInfo
    from selfstorm.io.movie_frames import MovieFrames
    from selfstorm.stream.compute_resources import Compute
    from selfstorm.stream.offline import check_host_memory, check_windows, reconstruct_movie
    from selfstorm.stream.settings import Settings

    paths = OutputPaths(
        output or default_output(movie),
        localizations,
        error_map,
        trust_map,
        accumulated,
        drift,
        save_model,
        overwrite,
    )
    kind = kind_of(model)
    _check_outputs(kind, paths, start_from, estimate)
    if microscope.camera not in (None, "none") and not kind.calibrates:
        raise click.UsageError("--camera is for our own model alone.")
    if linked and localizations is None:
        raise click.UsageError("--linked belongs to --localizations.")
    if tile_px is not None and model != "tiled":
        raise click.UsageError("--tile-px belongs to --model tiled.")
    paths.check([movie] if movie.is_file() else [])
    torch_device = prepare_device(device)
    with choice.open(movie) as file:
        for note in file.notes:
            print_note(note)
        paths.check([*file.paths, *filter(None, [start_from])])
        pixel_nm = microscope.pixel_nm_or(file.pixel_nm, movie)
        psf = microscope.psf(pixel_nm)
        frames = MovieFrames(file)
        length = frames.length if window == "all" else _window_frames(window)
        stride = stride or length
        windows = check_windows(frames.length, length, stride)
        offset_adu, gain = microscope.offset_and_gain_or(file.acquisition)
        settings = Settings(
            pixel_nm, psf, offset_adu, gain, int(scale), estimate, quality, model, tuning_steps, motion, tile_px
        )
        if kind.calibrates:
            settings = replace(settings, pixels=microscope.pixels(file))
        needed = ""
        if torch_device.type == "cpu" and kind.localizes:
            gigabytes = check_host_memory(settings, frames.frame_shape, length) / GB
            needed = f"; a window takes about {gigabytes:.1f} GB of its memory, with fewer frames less"
        engine = _engine(settings, Compute(torch_device), length, start_from, (file.height, file.width))
        for line in planned(movie, frames, file.shape, pixel_nm, windows, length, stride, settings.scale, paths):
            click.echo(line)
        click.echo(f"device: {describe(torch_device)}{needed}")
        info = TableInfo(file.height, file.width, pixel_nm, frames.length, provenance(movie))
        with (
            ReconstructionFiles(paths, info, settings.scale, max_dark if linked else None) as files,
            progress(windows * length, "reconstructing", "frames") as add_frames,
        ):
            made = reconstruct_movie(frames, engine, length, stride, add_frames)
            result, failed = _write_windows(made, files, length)
            if result is None:
                raise InputError(failed[0], where=movie, hint="give a movie with more valid frames")
    for line in found(result):
        click.echo(line)
    for note in (*failed, *result.notes, *doubts(result, pixel_nm)):
        print_note(note)
    click.echo(f"wrote {paths.pictures}")
    if save_model is not None and engine.model is not None:
        engine.model.save(save_model, f"{movie}: {len(frames.numbers)} frames", overwrite=overwrite)
        click.echo(f"wrote the learned model to {save_model}")
    tell_others(paths, files, linked=linked)


def _engine(
    settings: Settings, compute: Compute, length: int, start_from: Path | None, shape: tuple[int, int]
) -> StreamEngine:
    """Make the engine.

    A model that needs more memory than there is, is refused before it is used.
    """
    from selfstorm.stream.engine import StreamEngine
    from selfstorm.stream.offline import check_memory

    def checked(model: StreamModel) -> StreamModel:
        check_memory(model, length)
        return model

    engine = StreamEngine(lambda first_window: checked(new_model(settings, first_window, compute)))
    if start_from is not None:
        engine.go_on_from(checked(load_model(start_from, settings, shape, compute)))
    return engine


def _check_outputs(kind: ModelKind, paths: OutputPaths, start_from: Path | None, estimate: str) -> None:
    """Raise UsageError for outputs that a kind of model does not have."""
    if estimate not in kind.estimates:
        raise click.UsageError(f"This model makes --estimate {' or '.join(kind.estimates)} alone.")
    if (start_from or paths.model) and not kind.can_write("model", estimate):
        raise click.UsageError("--start-from and --save-model are for our own model alone.")
    if paths.error_map is not None and not kind.can_write("error_map", estimate):
        raise click.UsageError("--error-map comes with our own model alone: the paper's knows no optics.")
    for output in ("localizations", "accumulated", "drift", "trust_map"):
        if getattr(paths, output) is not None and not kind.can_write(output, estimate):
            option = f"--{output.replace('_', '-')}"
            raise click.UsageError(f"{option}: only with --estimate fused of our own model.")


def _write_windows(made: Any, files: ReconstructionFiles, length: int) -> tuple[Reconstruction | None, list[str]]:
    """Write every window's outputs.

    Returns the last picture, and why others are missing.
    """
    from selfstorm.stream.offline import FailedWindow

    result, failed = None, []
    for start, outcome in made:
        last = start + length - 1
        if isinstance(outcome, FailedWindow):
            failed.append(f"no picture of frames {start} to {last}: {outcome.why}")
            continue
        result = outcome
        files.add(start, last, outcome)
    return result, failed


def _window_frames(window: str) -> int:
    if not window.isdecimal():
        raise click.UsageError(f"--window takes 'all' or a number of frames, not '{window}'.")
    return int(window)
