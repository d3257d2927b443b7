"""The microscope on a command line: its pixel size, its optics and its camera, each of them or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from selfstorm.errors import InputError

if TYPE_CHECKING:
    from selfstorm.optics import Psf

Command = Callable[..., Any]
OPTIONS = (
    click.option(
        "--pixel-nm", type=click.FloatRange(1, 10_000), help="Camera pixel in the sample; else from metadata."
    ),
    click.option("--na", type=click.FloatRange(0.05, 1.8), help="Numerical aperture, with --wavelength-nm."),
    click.option("--wavelength-nm", type=click.FloatRange(200, 2000), help="Emission wavelength, with --na."),
    click.option("--psf-sigma-nm", type=click.FloatRange(10, 5000), help="Width of a Gaussian PSF."),
    click.option("--offset-adu", type=float, help="Camera offset; else estimated."),
    click.option("--gain", type=click.FloatRange(1e-3, 1e4), help="ADU per photon; else estimated."),
)


def microscope_options(command: Command) -> Command:
    """Gives a command pixel_nm, na, wavelength_nm, psf_sigma_nm, offset_adu and gain, each None where not given."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def chosen_pixel_nm(given: float | None, stated: float | None, file: Path) -> float:
    """The pixel size on the command line, else what the file says. Raises InputError where neither is known."""
    pixel_nm = given or stated
    if pixel_nm is None:
        raise InputError("pixel size unknown", where=file, mend="give it with --pixel-nm")
    return pixel_nm


def chosen_psf(na: float | None, wavelength_nm: float | None, sigma_nm: float | None) -> Psf | None:
    """The PSF that --na with --wavelength-nm, or --psf-sigma-nm, describe; None where none is given."""
    from selfstorm.optics import Airy, Gaussian

    if (na is None) != (wavelength_nm is None):
        raise click.UsageError("--na and --wavelength-nm belong together: give both or neither.")
    if sigma_nm is not None:
        if na is not None:
            raise click.UsageError("the optics are given twice: give --psf-sigma-nm or --na with --wavelength-nm.")
        return Gaussian(sigma_nm)
    return Airy(na, wavelength_nm) if na is not None and wavelength_nm is not None else None
