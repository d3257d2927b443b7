"""Options for the microscope: pixel size, optics and camera, all optional."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from selfstorm.commands.option_group import Command, grouped_options
from selfstorm.errors import InputError

if TYPE_CHECKING:
    from selfstorm.psf.models import Psf

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


@dataclass(frozen=True, slots=True)
class Microscope:
    """The microscope as given on a command line; None where not given."""

    pixel_nm: float | None = None
    na: float | None = None
    wavelength_nm: float | None = None
    psf_sigma_nm: float | None = None
    offset_adu: float | None = None
    gain: float | None = None

    def pixel_nm_or(self, stated: float | None, file: Path) -> float:
        """Return the given pixel size, else the file's.

        Raises InputError where neither is known.
        """
        pixel_nm = self.pixel_nm or stated
        if pixel_nm is None:
            raise InputError("pixel size unknown", where=file, hint="give it with --pixel-nm")
        return pixel_nm

    def psf(self) -> Psf | None:
        """Make the PSF of --na with --wavelength-nm, or --psf-sigma-nm.

        Raises UsageError where they contradict.
        """
        from selfstorm.psf.models import Airy, Gaussian

        na, wavelength_nm = self.na, self.wavelength_nm
        if (na is None) != (wavelength_nm is None):
            raise click.UsageError("--na and --wavelength-nm belong together: give both or neither.")
        if self.psf_sigma_nm is not None:
            if na is not None:
                raise click.UsageError("the optics are given twice: give --psf-sigma-nm or --na with --wavelength-nm.")
            return Gaussian(self.psf_sigma_nm)
        return Airy(na, wavelength_nm) if na is not None and wavelength_nm is not None else None


def microscope_options(command: Command) -> Command:
    """Add a microscope's options to a command.

    The command receives them as `microscope`.
    """
    return grouped_options(command, "microscope", Microscope, OPTIONS)
