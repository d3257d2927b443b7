"""The command `selfstorm benchmark`.

It runs a movie with ground truth, or a simulated one, through every method, and writes three files.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.outputs import prepare_output
from selfstorm.commands.microscope_options import Microscope, microscope_options
from selfstorm.io.atomic_files import atomic_write

if TYPE_CHECKING:
    from selfstorm.frames import Array
    from selfstorm.stream.settings import Settings

SIMULATED_FRAMES, STAGES_FRAMES = 200, 100
# Options of the simulated movies that differ from the simulator's defaults.
SCENES: dict[str, dict[str, Any]] = {
    "crowded": {"density": 5.5, "seed": 11},
    "dim": {"density": 3.0, "photons": 300.0, "background_photons": 60.0, "seed": 12},
}
METHOD_HELP = "ours, paper, fista, richardson-lucy, sofi2, std, widefield, with commas; or all."


@click.command()
@click.argument("movie", type=click.Path(path_type=Path), required=False)
@click.option("--truth", type=click.Path(path_type=Path), help="frame,y_nm,x_nm (.csv or .csv.gz)")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="benchmark", show_default=True, metavar="DIR")
@microscope_options
@click.option("--scale", type=click.Choice(["2", "4", "8"]), default="8", show_default=True, help="Of our picture.")
@click.option("--frames", type=click.IntRange(8), help=f"Only the first ones. Simulated: {SIMULATED_FRAMES}.")
@click.option("--methods", default="all", show_default=True, metavar="NAMES", help=METHOD_HELP)
@click.option(
    "--paper-epochs", type=click.IntRange(0, 1000), default=5, show_default=True, help="25 as published; 0 and 1 too."
)
@click.option("--scene", type=click.Choice(list(SCENES)), default="crowded", show_default=True, help="Without MOVIE.")
@click.option("--stream", is_flag=True, help="Measure the live engine instead: rates, latencies, window lengths.")
@click.option("--stages", is_flag=True, help="Count and time every stage against the limits of the device instead.")
@click.option("--sides", default="64,128,256", show_default=True, metavar="PIXELS", help="With --stream or --stages.")
@click.option("--rates", default="", metavar="HZ", help="With --stream: these and nothing else, with commas.")
@click.option("--seconds", type=click.FloatRange(1, 3600), default=10, show_default=True, help="A run of --stream.")
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier benchmark in DIR.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
def benchmark(
    movie: Path | None,
    truth: Path | None,
    output: Path,
    microscope: Microscope,
    scale: str,
    frames: int | None,
    methods: str,
    paper_epochs: int,
    scene: str,
    stream: bool,
    stages: bool,
    sides: str,
    rates: str,
    seconds: float,
    overwrite: bool,
    device: str,
) -> None:
    """Compare our reconstruction of MOVIE with published and classical ones.

    All are scored against the TRUTH. Without MOVIE, one is simulated. Writes benchmark.json, benchmark.md and
    benchmark.png into DIR; with --stream stream.json and stream.png, with --stages stages.json, .md and .png.
    """
    if stream or stages:
        if movie is not None:
            raise click.UsageError("--stream and --stages simulate their own movies.")
        if stages:
            sides_px = _sides(sides)
            prepare_output(output, "stages", overwrite=overwrite)
            _stages(output, sides_px, frames or STAGES_FRAMES, device)
        if stream:
            sides_px, rates_hz = _sides(sides), _rates(rates)
            prepare_output(output, "stream", overwrite=overwrite)
            _stream(output, sides_px, rates_hz, seconds, device)
        return
    from benchmarks.comparison import chosen_methods, run
    from benchmarks.figure import write_figure
    from benchmarks.methods import Task, three_digits
    from benchmarks.report import account, aligned, page, table
    from selfstorm.compute.device import describe, prepare_device
    from selfstorm.stream.settings import Settings

    names = chosen_methods(methods)
    prepare_output(output, "benchmark", *(path for path in (movie, truth) if path), overwrite=overwrite)
    torch_device = prepare_device(device)
    if movie is not None:
        if truth is None:
            raise click.UsageError("there is nothing to score MOVIE against: give its --truth.")
        raw, emitters, known, pixel_nm = _read(movie, truth, frames, microscope)
        psf = microscope.psf(pixel_nm)
        settings = Settings(pixel_nm, psf, microscope.offset_adu, microscope.gain, int(scale))
    else:
        if truth is not None or microscope != Microscope():
            raise click.UsageError("truth, pixel, optics and camera belong to a MOVIE: give one.")
        raw, emitters, known, settings = _simulated(scene, frames or SIMULATED_FRAMES, int(scale))
    task = Task(raw, settings, torch_device, paper_epochs)
    click.echo(f"{known['name']}: {len(raw)} frames of {raw.shape[1]}x{raw.shape[2]} on {describe(torch_device)}")
    results = []
    for result in run(task, emitters, names):
        results.append(result)
        pearson = f"Pearson {result.score.pearson:.4f}" if result.score else "nothing to score"
        click.echo(f"{result.made.label}: {pearson} in {three_digits(result.made.took.seconds)} s")
    record = account(task, known, results)
    field_nm = raw.shape[1] * settings.pixel_nm, raw.shape[2] * settings.pixel_nm
    with atomic_write(output / "benchmark.json", overwrite=True) as part:
        part.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_write(output / "benchmark.md", overwrite=True) as part:
        part.write_text(page(record, results), encoding="utf-8")
    with atomic_write(output / "benchmark.png", overwrite=True) as part:
        write_figure(part, results, emitters[:, 1:3], field_nm)
    click.echo("\n" + "\n".join(aligned(table(results, len(raw)))))
    click.echo(f"\nwrote benchmark.json, benchmark.md and benchmark.png into {output}")


def _sides(sides: str) -> tuple[int, ...]:
    if not all(side.strip().isdecimal() and 16 <= int(side) <= 4096 for side in sides.split(",")):
        raise click.UsageError(f"--sides takes numbers of pixels with commas, 16 to 4096, not '{sides}'.")
    return tuple(int(side) for side in sides.split(","))


def _rates(rates: str) -> tuple[float, ...]:
    try:
        chosen = tuple(float(rate) for rate in rates.split(",") if rate.strip())
    except ValueError:
        chosen = (0.0,)
    if not all(0.1 <= rate <= 10_000 for rate in chosen):
        raise click.UsageError(f"--rates takes frames a second with commas, 0.1 to 10000, not '{rates}'.")
    return chosen


def _stages(output: Path, sides_px: tuple[int, ...], frames: int, device: str) -> None:
    from benchmarks.report import aligned, environment, stages_page
    from benchmarks.stages import measure
    from selfstorm.compute.device import describe, prepare_device

    torch_device = prepare_device(device)
    figures = measure(sides_px, frames, torch_device, click.echo)
    record = {"environment": environment(torch_device), **figures.as_dict()}
    with atomic_write(output / "stages.json", overwrite=True) as part:
        part.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_write(output / "stages.md", overwrite=True) as part:
        part.write_text(stages_page(record, figures.table()), encoding="utf-8")
    click.echo("\n" + "\n".join(aligned(figures.table())))
    if _can_plot("stages", output):
        from benchmarks.stages_figure import write_figure

        with atomic_write(output / "stages.png", overwrite=True) as part:
            write_figure(part, figures, f"{describe(torch_device)}, {record['environment']['cpu']}")
    click.echo(f"\nwrote stages.json and stages.md into {output}")


def _stream(output: Path, sides_px: tuple[int, ...], rates_hz: tuple[float, ...], seconds: float, device: str) -> None:
    from benchmarks.stream import measure
    from selfstorm.compute.device import describe, prepare_device

    torch_device = prepare_device(device)
    figures = measure(sides_px, seconds, torch_device, click.echo, rates_hz)
    with atomic_write(output / "stream.json", overwrite=True) as part:
        record = {"device": describe(torch_device), **figures.as_dict()}
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if _can_plot("stream", output):
        from benchmarks.stream_figure import write_figure

        with atomic_write(output / "stream.png", overwrite=True) as part:
            write_figure(part, figures, describe(torch_device))
    for side_px in sides_px:
        click.echo(f"{side_px} x {side_px} px: nothing skipped up to {figures.fastest(side_px):g} frames/s")
    click.echo(f"wrote stream.json into {output}")


def _can_plot(stem: str, output: Path) -> bool:
    """Return whether plots can be drawn here, and say so.

    Figures are also measured where little is installed.
    """
    can = importlib.util.find_spec("matplotlib") is not None
    click.echo(f"\n{f'plotting {output / stem}.png' if can else 'no plot: matplotlib is not installed'}")
    return can


def _read(
    movie: Path, truth: Path, frames: int | None, microscope: Microscope
) -> tuple[Array, Array, dict[str, Any], float]:
    """Read a movie and its truth.

    Returns:
        Frames, emitters, name and sha256 of the file, and its pixel size.
    """
    from benchmarks.comparison import truth_of
    from selfstorm.io.movies import MovieFile
    from selfstorm.io.truth import read_truth
    from selfstorm.stream.offline import check_windows

    with MovieFile(movie) as file:
        pixel_nm = microscope.pixel_nm_or(file.pixel_nm, movie)
        raw = file.frames()[:frames]
    check_windows(len(raw), len(raw), len(raw))
    if movie.is_file():
        with movie.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    else:  # a folder: of its pixels
        digest = hashlib.sha256(raw.tobytes()).hexdigest()
    return raw, truth_of(read_truth(truth), len(raw), truth), {"name": movie.name, "sha256": digest}, pixel_nm


def _simulated(name: str, frames: int, scale: int) -> tuple[Array, Array, dict[str, Any], Settings]:
    """Simulate a movie, with its optics and camera given.

    Returns:
        Frames, emitters, name and sha256 (of the pixels), and settings.
    """
    import numpy as np

    from benchmarks.comparison import truth_of
    from selfstorm.psf.models import Gaussian
    from selfstorm.simulation.movie import simulate
    from selfstorm.simulation.scene import Scene
    from selfstorm.stream.settings import Settings

    scene = Scene(**SCENES[name])
    with click.progressbar(simulate(scene, frames=frames), length=frames, label="simulating") as progress:
        shots = list(progress)
    raw, emitters = np.stack([pixels for pixels, _ in shots]), np.concatenate([where for _, where in shots])
    settings = Settings(
        scene.pixel_nm, Gaussian(scene.psf_sigma_nm), scene.offset_adu, scene.gain_adu_per_electron, scale
    )
    digest = hashlib.sha256(raw.astype("<u2").tobytes()).hexdigest()
    known = {"name": f"simulated, {name}", "sha256": digest, "scene": asdict(scene)}
    return raw, truth_of(emitters, frames, "--scene"), known, settings
