"""The optics on a command line: a Gaussian by its width, an Airy pattern by NA and wavelength, or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from selfstorm.optics import Psf


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
