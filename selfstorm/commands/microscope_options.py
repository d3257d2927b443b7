"""Options for the microscope: pixel size, optics and camera, all optional."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from selfstorm.commands.console import print_note
from selfstorm.commands.option_group import Command, grouped_options
from selfstorm.errors import InputError

if TYPE_CHECKING:
    from selfstorm.io.movies import MovieFile
    from selfstorm.io.reader import AcquisitionInfo
    from selfstorm.physics.camera_maps import CameraCalibration
    from selfstorm.psf.models import Psf

OPTIONS = (
    click.option(
        "--pixel-nm", type=click.FloatRange(1, 10_000), help="Camera pixel in the sample; else from metadata."
    ),
    click.option("--na", type=click.FloatRange(0.05, 1.8), help="Numerical aperture, with --wavelength-nm."),
    click.option("--wavelength-nm", type=click.FloatRange(200, 2000), help="Emission wavelength, with --na."),
    click.option("--psf-sigma-nm", type=click.FloatRange(10, 5000), help="Width of a Gaussian PSF."),
    click.option(
        "--psf",
        "psf_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="PSF from beads: SMAP's _3dcal.mat or uiPSF's .h5, in focus.",
    ),
    click.option("--offset-adu", type=float, help="Camera offset; else estimated."),
    click.option("--gain", type=click.FloatRange(1e-3, 1e4), help="ADU per photon; else estimated."),
    click.option(
        "--camera",
        metavar="NAME",
        help="Calibration of each pixel (selfstorm calibrate), or none. Default: one named like the movie's camera.",
    ),
    click.option("--camera-roi", metavar="Y,X", help="Corner of the frames on the sensor, where the file lacks it."),
)


@dataclass(frozen=True, slots=True)
class Microscope:
    """The microscope as given on a command line; None where not given."""

    pixel_nm: float | None = None
    na: float | None = None
    wavelength_nm: float | None = None
    psf_sigma_nm: float | None = None
    psf_file: Path | None = None
    offset_adu: float | None = None
    gain: float | None = None
    camera: str | None = None
    camera_roi: str | None = None

    def pixel_nm_or(self, stated: float | None, file: Path) -> float:
        """Return the given pixel size, else the file's.

        Raises InputError where neither is known.
        """
        pixel_nm = self.pixel_nm or stated
        if pixel_nm is None:
            raise InputError("pixel size unknown", where=file, hint="give it with --pixel-nm")
        return pixel_nm

    def offset_and_gain_or(self, stated: AcquisitionInfo) -> tuple[float | None, float | None]:
        """Return the given offset and gain, else those of the file."""
        offset_adu = stated.offset_adu if self.offset_adu is None else self.offset_adu
        return offset_adu, self.gain or stated.gain_adu_per_electron

    def pixels(self, movie: MovieFile) -> CameraCalibration | None:
        """Return the calibration of the movie's pixels.

        One that was found by the camera's name is left out, with a note, where it does not fit.

        Raises InputError where the one that was named cannot be used, UsageError where the camera is given twice.
        """
        from selfstorm.io.camera_file import calibration_of
        from selfstorm.io.camera_names import NO_CALIBRATION, SensorField

        scalars = self.offset_adu is not None or self.gain is not None
        if self.camera not in (None, NO_CALIBRATION) and scalars:
            raise click.UsageError("the camera is given twice: give --camera, or --offset-adu and --gain.")
        if self.camera == NO_CALIBRATION or (self.camera is None and scalars):
            return None
        stated, (y, x) = movie.acquisition, _corner(self.camera_roi)
        roi = y + stated.roi_yx[0], x + stated.roi_yx[1]
        field = SensorField(stated.camera, roi, (movie.height, movie.width), stated.binning)
        try:
            return calibration_of(self.camera, field)
        except InputError as error:
            if self.camera is not None:
                raise
            print_note(f"{error}; going on without it")
            return None

    def psf(self, pixel_nm: float) -> Psf | None:
        """Make the PSF of --na with --wavelength-nm, --psf-sigma-nm or --psf.

        Raises UsageError where they contradict, InputError where a file cannot be used.
        """
        from selfstorm.psf.models import Airy, Gaussian

        na, wavelength_nm = self.na, self.wavelength_nm
        if (na is None) != (wavelength_nm is None):
            raise click.UsageError("--na and --wavelength-nm belong together: give both or neither.")
        if sum(one is not None for one in (self.psf_sigma_nm, na, self.psf_file)) > 1:
            raise click.UsageError(
                "the optics are given twice: give --psf-sigma-nm, --na with --wavelength-nm, or --psf."
            )
        if self.psf_file is not None:
            from selfstorm.io.psf_files import read_psf

            return read_psf(self.psf_file, pixel_nm)
        if self.psf_sigma_nm is not None:
            return Gaussian(self.psf_sigma_nm)
        return Airy(na, wavelength_nm) if na is not None and wavelength_nm is not None else None


def _corner(text: str | None) -> tuple[int, int]:
    """Read Y,X; (0, 0) where nothing is given."""
    parts = [part.strip() for part in (text or "0,0").split(",")]
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise click.UsageError(f"--camera-roi takes Y,X in camera pixels, as in 512,768, not '{text}'.")
    return int(parts[0]), int(parts[1])


def microscope_options(command: Command) -> Command:
    """Add a microscope's options to a command.

    The command receives them as `microscope`.
    """
    return grouped_options(command, "microscope", Microscope, OPTIONS)
