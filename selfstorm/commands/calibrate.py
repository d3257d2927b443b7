"""`selfstorm calibrate`: camera and PSF, from stacks or from a movie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from selfstorm.commands.console import print_note
from selfstorm.commands.output_options import overwrite_option
from selfstorm.errors import InputError

if TYPE_CHECKING:
    from selfstorm.calibration.photon_transfer import EmRegister, PhotonTransfer
    from selfstorm.calibration.pixel_moments import PixelMoments
    from selfstorm.frames import Array
    from selfstorm.io.reader import AcquisitionInfo

Draw = Callable[[Path, float | None, bool], None]  # of a plot: its path, distance of planes in nm, overwrite
FILE = click.Path(path_type=Path)
MAX_PSF_FRAMES = 400
plot_option = click.option("--plot", type=FILE, metavar="OUT.png", help="Plot to check it by.")
serial_option = click.option(
    "--serial", required=True, metavar="NAME", help="Serial number or Micro-Manager's label of the camera."
)


@click.group()
def calibrate() -> None:
    """Calibrate a camera or a PSF."""


@calibrate.command()
@click.argument("dark", type=FILE)
@click.argument("lights", type=FILE, nargs=-1, required=True)
@serial_option
@click.option("--em-gain", type=click.FloatRange(1, 10_000), help="EM gain of all stacks, where it is known.")
@click.option("--em-off-dark", type=FILE, metavar="DARK0", help="Dark stack without EM gain; with --em-off.")
@click.option("--em-off", type=FILE, multiple=True, metavar="LIGHT0", help="Even light without EM gain: measures it.")
@plot_option
@click.option("--table", type=FILE, metavar="OUT.csv", help="Levels of light as a table.")
@overwrite_option
def camera(
    dark: Path,
    lights: tuple[Path, ...],
    serial: str,
    em_gain: float | None,
    em_off_dark: Path | None,
    em_off: tuple[Path, ...],
    plot: Path | None,
    table: Path | None,
    overwrite: bool,
) -> None:
    """Calibrate each pixel from DARK and LIGHTS.

    DARK: a stack without light. LIGHTS: stacks of even, steady light (lamp, defocused sample), one brightness each; a
    few levels of some hundred frames or more. All with the camera settings of your experiments.

    Offset, gain and read noise of each pixel are stored in your configuration folder under NAME. Movies and live
    streams of a camera of that name are converted with them, as are those that name it (--camera NAME, or calibration
    under [camera]).
    """
    from selfstorm.calibration.photon_transfer import EmRegister, photon_transfer
    from selfstorm.commands.calibration_plots import write_transfer_plot
    from selfstorm.io.atomic_files import check_new, check_outputs
    from selfstorm.io.camera_file import calibration_path, save_calibration

    if (em_off_dark is None) != (not em_off) or (em_off and em_gain):
        raise click.UsageError("give --em-off-dark with --em-off, or --em-gain, not both.")
    check_new(calibration_path(serial), overwrite=overwrite)
    stacks = [path for path in (dark, em_off_dark, *lights, *em_off) if path is not None and path.is_file()]
    check_outputs({"--plot": plot, "--table": table}, stacks, overwrite=overwrite)
    without_light, taken = _moments(dark)
    levels = [_moments(path, like=without_light)[0] for path in lights]
    em = None if em_gain is None else EmRegister.given(em_gain)
    if em_off_dark is not None:
        em = _measured_register(_moments(em_off_dark)[0], [_moments(path)[0] for path in em_off], without_light, levels)
    result = photon_transfer(without_light, levels, serial, em, taken.roi_yx, taken.binning)
    path = save_calibration(result.calibration, tuple(str(one) for one in (dark, *lights)), overwrite=overwrite)
    for line in _described(result):
        click.echo(line)
    if plot is not None:
        write_transfer_plot(plot, result, overwrite=overwrite)
        click.echo(f"wrote the plot to {plot}")
    if table is not None:
        _write_table(table, result, overwrite=overwrite)
        click.echo(f"wrote the levels to {table}")
    click.echo(f"wrote the calibration of '{serial}' to {path}")


@calibrate.command()
@click.argument("file", type=FILE)
@serial_option
@click.option("--of", "camera_name", metavar="CAMERA[/MODE...]", help="Of several cameras in FILE, with readout modes.")
@overwrite_option
def settings(file: Path, serial: str, camera_name: str | None, overwrite: bool) -> None:
    """Store the camera settings of ThunderSTORM, Picasso or SMAP.

    FILE: ThunderSTORM's protocol or a macro with its camera setup, Picasso's config.yaml, or a text with offset,
    conversion and emgain as SMAP names them. All pixels count as alike.
    """
    from selfstorm.io.camera_file import save_calibration
    from selfstorm.io.camera_settings import read_camera_settings
    from selfstorm.physics.camera_maps import uniform_calibration

    found = read_camera_settings(file, camera_name)
    calibration = uniform_calibration(
        serial, found.offset_adu, found.gain_adu_per_electron, found.read_noise_electrons or 0.0, found.em_gain
    )
    path = save_calibration(calibration, (str(file),), overwrite=overwrite)
    click.echo(f"{file}: camera settings of {found.program}")
    for name, value in found.values():
        click.echo(f"{name}: {value:.5g}")
    click.echo(f"wrote the calibration of '{serial}' to {path}")


@calibrate.command()
@click.argument("movie", type=FILE)
@plot_option
@overwrite_option
def sequence(movie: Path, plot: Path | None, overwrite: bool) -> None:
    """Estimate offset and gain from a MOVIE alone, with error bars.

    They are those that a reconstruction without calibration uses. The plot shows the noise over the signal: where its
    points lie on no line, calibrate the camera.
    """
    from selfstorm.calibration.sequence_camera import camera_of_sequence
    from selfstorm.commands.calibration_plots import write_sequence_plot
    from selfstorm.io.atomic_files import check_outputs
    from selfstorm.io.movies import MovieFile
    from selfstorm.physics.camera import MAX_FRAMES

    check_outputs({"--plot": plot}, [movie] if movie.is_file() else [], overwrite=overwrite)
    with MovieFile(movie) as file:
        found = camera_of_sequence(file.frames(0, MAX_FRAMES))
    click.echo(f"offset: {found.camera.offset_adu:.5g} +- {found.offset_error_adu:.2g} ADU")
    click.echo(f"gain: {found.camera.gain_adu_per_electron:.4g} +- {found.gain_error_adu:.2g} ADU per photon")
    if not found.measured:
        print_note(found.camera.origin)
    if plot is not None:
        write_sequence_plot(plot, found, overwrite=overwrite)
        click.echo(f"wrote the plot to {plot}")


@calibrate.command()
@click.argument("file", type=FILE)
@click.option("--pixel-nm", type=click.FloatRange(1, 10_000), help="Camera pixel in the sample; else from metadata.")
@click.option("--beads", is_flag=True, help="FILE is a stack of beads, one plane a frame.")
@click.option("--bead-nm", type=click.FloatRange(0, 1000), default=0.0, help="Diameter of the beads, with --beads.")
@click.option("--z-step-nm", type=click.FloatRange(0.1, 10_000), help="Distance of the planes, for the plot.")
@plot_option
@overwrite_option
def psf(
    file: Path,
    pixel_nm: float | None,
    beads: bool,
    bead_nm: float,
    z_step_nm: float | None,
    plot: Path | None,
    overwrite: bool,
) -> None:
    """Measure the PSF in FILE.

    FILE is a movie of blinking emitters, from whose fluctuations the PSF is found blind, or with --beads a stack of
    beads, in which its width is fitted plane by plane.
    """
    from selfstorm.commands.microscope_options import Microscope
    from selfstorm.io.atomic_files import check_outputs
    from selfstorm.io.movies import MovieFile

    check_outputs({"--plot": plot}, [file] if file.is_file() else [], overwrite=overwrite)
    with MovieFile(file) as movie:
        pixel_nm = Microscope(pixel_nm).pixel_nm_or(movie.pixel_nm, file)
        raw = movie.frames(0, MAX_PSF_FRAMES)
    lines, draw = _beads(file, raw, pixel_nm, bead_nm) if beads else _blind(file, raw, pixel_nm)
    for line in lines:
        click.echo(line)
    if plot is not None:
        draw(plot, z_step_nm, overwrite)
        click.echo(f"wrote the plot to {plot}")


def _beads(file: Path, raw: Array, pixel_nm: float, bead_nm: float) -> tuple[list[str], Draw]:
    """Measure a bead stack; return lines that describe it, and its plot."""
    from selfstorm.calibration.bead_psf import bead_psf
    from selfstorm.commands.calibration_plots import write_bead_plot

    try:
        found = bead_psf(raw, pixel_nm, bead_nm)
    except InputError as error:
        raise InputError(error.what, where=file, hint=error.hint) from None
    at = found.focus
    lines = [
        f"{found.beads} beads in {len(raw)} planes; narrowest in plane {at}",
        f"sigma in y: {found.sigma_y_nm[at]:.1f} nm, in x: {found.sigma_x_nm[at]:.1f} nm",
        f"spread over the beads: {found.spread_nm[at]:.1f} nm",
        f"use it with --psf-sigma-nm {found.sigma_nm:.0f}, or psf_sigma_nm = {found.sigma_nm:.0f} under [optics]",
    ]
    return lines, lambda path, step, overwrite: write_bead_plot(path, found, pixel_nm, step, overwrite=overwrite)


def _blind(file: Path, raw: Array, pixel_nm: float) -> tuple[list[str], Draw]:
    """Find the PSF of a movie; return lines that describe it, and its plot."""
    from selfstorm.calibration.field_moments import FieldMoments
    from selfstorm.calibration.psf_selection import find_psf
    from selfstorm.commands.calibration_plots import write_moments_plot
    from selfstorm.physics.bad_data import hot_pixels, interpolate_hot_pixels
    from selfstorm.physics.camera import calibrate as estimated

    good = interpolate_hot_pixels(raw, hot_pixels(raw))
    moments = FieldMoments()
    moments.add(estimated(good).photons(good))
    if not len(moments.pairs):
        raise InputError("too few frames, or a field of less than 16 x 16 pixels", where=file)
    found = find_psf(moments, pixel_nm)
    lines = [
        f"{found.psf}",
        f"equivalent Gaussian: sigma {found.psf.equivalent_sigma_nm:.1f} nm",
        *(f"tried: {fit.psf}, misfit {fit.misfit:.3g}" for fit in found.fits),
    ]
    psf = found.psf
    return lines, lambda path, step, overwrite: write_moments_plot(path, moments, psf, pixel_nm, overwrite=overwrite)


def _moments(path: Path, like: PixelMoments | None = None) -> tuple[PixelMoments, AcquisitionInfo]:
    """Measure a stack frame by frame; check that it has the field of another."""
    from selfstorm.calibration.pixel_moments import PixelMoments
    from selfstorm.io.movies import MovieFile

    with MovieFile(path) as file:
        if like is not None and (file.height, file.width) != like.mean.shape:
            height, width = like.mean.shape
            raise InputError(
                f"has frames of {file.height} x {file.width} pixels, DARK has {height} x {width}",
                where=path,
                hint="record all stacks with the same region and binning",
            )
        shown = click.progressbar(range(file.length), label=path.name)
        with shown as frames:
            try:
                return PixelMoments.of(file.frame(index) for index in frames), file.acquisition
            except InputError as error:
                raise InputError(error.what, where=error.where or path, hint=error.hint) from None


def _measured_register(
    dark: PixelMoments, lights: list[PixelMoments], em_dark: PixelMoments, em_lights: list[PixelMoments]
) -> EmRegister:
    """Measure the EM gain from stacks without it and with it."""
    from selfstorm.calibration.photon_transfer import EmRegister, photon_transfer

    plain, multiplied = photon_transfer(dark, lights, "without EM"), photon_transfer(em_dark, em_lights, "with EM")
    return EmRegister.of_slopes(multiplied.median_gain, plain.median_gain)


def _described(result: PhotonTransfer) -> Iterator[str]:
    """Describe a calibration in lines."""
    maps = result.calibration
    good = ~maps.bad
    gain, read = (float(np.median(each[good])) for each in (maps.gain_adu_per_electron, maps.read_noise_electrons))
    yield f"offset: {np.median(maps.offset_adu[good]):.5g} ADU (spread {np.std(maps.offset_adu[good]):.2g})"
    yield (
        f"gain: {gain:.4g} +- {gain * result.gain_error:.1g} ADU per electron (spread {result.gain_spread:.1%}; a "
        f"pixel's own is measured to {result.pixel_gain_error:.1%})"
    )
    yield f"read noise: {read:.3g} electrons ({result.read_noise_adu:.3g} ADU)"
    if maps.em_gain > 1:
        yield f"EM gain: {maps.em_gain:.4g}, excess noise factor F^2 = {maps.excess_noise:.3f}"
    yield (
        f"bad pixels: {maps.bad.mean():.2%} ({result.dead} dead or deviating, {result.hot} hot, {result.noisy} noisy)"
    )
    yield f"linearity: the levels deviate from the line by {result.nonlinearity:.1%} at most"
    yield "level  signal ADU  variance ADU^2  deviation  frames"
    for number, level in enumerate(result.levels, 1):
        state = "saturated" if level.clipped else f"{level.deviation:+.1%}"
        yield f"{number:<6} {level.signal_adu:<11.5g} {level.variance_adu2:<15.5g} {state:<10} {level.frames}"


def _write_table(path: Path, result: PhotonTransfer, *, overwrite: bool) -> None:
    """Write the levels as CSV."""
    from selfstorm.io.atomic_files import atomic_write

    rows = [
        f"{level.signal_adu:.6g},{level.variance_adu2:.6g},{level.deviation:.5f},{int(level.clipped)},{level.frames}"
        for level in result.levels
    ]
    with atomic_write(path, overwrite=overwrite) as part:
        part.write_text("\n".join(["signal_adu,variance_adu2,deviation,clipped,frames", *rows, ""]), encoding="utf-8")
