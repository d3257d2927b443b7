"""Camera calibrations on disk, one TIFF file per camera, found by name.

The pages are the maps of offset, gain, read noise and bad pixels, which ImageJ shows as a stack of four slices; the
first page's description holds the rest as JSON. Everything read is checked before use.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import tifffile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from selfstorm.errors import InputError, first_line
from selfstorm.frames import MAX_SIDE_PX, Array
from selfstorm.io.atomic_files import atomic_write, check_new, make_folder
from selfstorm.io.camera_names import CALIBRATION_NAME, NO_CALIBRATION, SensorField
from selfstorm.physics.camera_maps import CameraCalibration

PREFIX, SUFFIX = "camera_", ".tif"  # with the prefix no name is one that Windows reserves
MAPS = 4
MAX_BYTES = 20 * MAX_SIDE_PX**2
MAX_DESCRIPTION = 100_000


class CameraFacts(BaseModel):
    """Description of a calibration, beside its maps."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    format: Literal["selfstorm-camera"] = "selfstorm-camera"
    format_version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=100)
    em_gain: float = Field(ge=1, le=1e5)
    excess_noise: float = Field(ge=1, le=10)
    roi_yx: tuple[int, int]
    binning: int = Field(ge=1, le=64)
    maps: tuple[str, ...] = ("offset, ADU", "gain, ADU per electron", "read noise, electrons", "bad pixels")
    made_from: tuple[str, ...] = ()
    written: str = ""
    written_by: str = ""


def calibrations_folder() -> Path:
    """Return the user's own folder for calibrations of cameras."""
    return Path(click.get_app_dir("selfstorm", roaming=False)) / "cameras"


def calibration_path(name: str, folder: Path | None = None) -> Path:
    """Return the path of a camera's calibration.

    Raises:
        InputError: the name cannot be that of a file.
    """
    if not re.fullmatch(CALIBRATION_NAME, name) or name == NO_CALIBRATION:
        raise InputError(
            f"'{name}' cannot name a calibration",
            where="--serial",
            hint="give letters, digits, spaces and . _ + -, at most 100",
        )
    return (folder or calibrations_folder()) / f"{PREFIX}{name}{SUFFIX}"


def save_calibration(
    calibration: CameraCalibration, made_from: tuple[str, ...], *, overwrite: bool = False, folder: Path | None = None
) -> Path:
    """Save a calibration under its name.

    Args:
        calibration: to save.
        made_from: the files that it comes from.
        overwrite: replace one of that name.
        folder: None for the user's own.

    Raises:
        InputError: the file cannot be written, or is there.
    """
    path = calibration_path(calibration.name, folder)
    make_folder(path.parent, "check the rights of your configuration folder")
    check_new(path, overwrite=overwrite)
    facts = CameraFacts(
        name=calibration.name,
        em_gain=calibration.em_gain,
        excess_noise=calibration.excess_noise,
        roi_yx=calibration.roi_yx,
        binning=calibration.binning,
        made_from=made_from,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        written_by=f"selfstorm {version('selfstorm')}",
    )
    maps = (calibration.offset_adu, calibration.gain_adu_per_electron, calibration.read_noise_electrons)
    pages = np.stack([*maps, calibration.bad]).astype(np.float32)
    with atomic_write(path, overwrite=overwrite) as part:
        tifffile.imwrite(part, pages, description=facts.model_dump_json(), metadata=None, photometric="minisblack")
    return path


def calibration_of(given: str | None, field: SensorField, folder: Path | None = None) -> CameraCalibration | None:
    """Return the calibration of some frames.

    Args:
        given: name of the camera; None to look for the names that the frames state.
        field: of the frames on the sensor.
        folder: None for the user's own.

    Returns:
        The calibration cut to the field; None where no name was given and none of the camera's has one.

    Raises:
        InputError: there is none of that name, it is damaged, or it does not cover the field.
    """
    known = known_calibrations(folder)
    names = field.names if given is None else (given,)
    path = next((known[name.casefold()] for name in names if name.casefold() in known), None)
    if path is None:
        if given is None:
            return None
        there = ", ".join(sorted(file.name[len(PREFIX) : -len(SUFFIX)] for file in known.values())) or "none"
        raise InputError(
            f"no calibration of a camera '{given}'",
            where=folder or calibrations_folder(),
            hint=f"known: {there}; make one with selfstorm calibrate camera",
        )
    stat = path.stat()
    return _of_field(path, stat.st_mtime_ns, stat.st_size, field)


def known_calibrations(folder: Path | None = None) -> dict[str, Path]:
    """Return the files of all calibrations by name, without case."""
    paths = sorted((folder or calibrations_folder()).glob(f"{PREFIX}*{SUFFIX}"))
    return {path.name[len(PREFIX) : -len(SUFFIX)].casefold(): path for path in paths}


@lru_cache(maxsize=4)
def _of_field(path: Path, changed_ns: int, size: int, field: SensorField) -> CameraCalibration:
    """Read a calibration and cut it; kept until the file changes."""
    return read_calibration(path).of_field(field.roi_yx, field.shape, field.binning)


def read_calibration(path: Path) -> CameraCalibration:
    """Read a calibration.

    Raises:
        InputError: the file is no calibration, or a damaged one.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("the file is too large")
        with tifffile.TiffFile(path) as file:
            facts = CameraFacts.model_validate_json(_description(file), strict=False)
            pages = _pages(file)
    except OSError as fault:
        raise InputError(f"cannot be read ({fault.strerror or fault})", where=path) from fault
    except (ValidationError, ValueError, RecursionError, IndexError, KeyError, TypeError) as fault:
        raise _damaged(path, fault) from fault
    offset, gain, noise, bad = pages
    return CameraCalibration(
        facts.name, offset, gain, noise, bad > 0, facts.em_gain, facts.excess_noise, facts.roi_yx, facts.binning
    )


def _description(file: tifffile.TiffFile) -> str:
    text: Any = file.pages[0].description if len(file.pages) == MAPS else ""  # type: ignore[union-attr]
    if not 0 < len(text) <= MAX_DESCRIPTION or not isinstance(json.loads(text), dict):
        raise ValueError("no description of a camera")
    return str(text)


def _pages(file: tifffile.TiffFile) -> Array:
    """Read the maps, (4, H, W) float32, and check them."""
    shapes = {page.shape for page in file.pages}
    shape = next(iter(shapes))
    if len(shapes) != 1 or len(shape) != 2 or max(shape) > MAX_SIDE_PX or file.pages[0].dtype != np.float32:
        raise ValueError("the maps are no float32 images of one size")
    pages = np.stack([page.asarray() for page in file.pages])
    if not np.isfinite(pages).all():
        raise ValueError("values that are not finite")
    if not (pages[1] > 0).all() or not (pages[2] >= 0).all():
        raise ValueError("a gain or a read noise that is not positive")
    if (pages[3] > 0).all():
        raise ValueError("all pixels are bad")
    return pages


def _damaged(path: Path, fault: object) -> InputError:
    return InputError(
        f"is no calibration of a camera, or a damaged one ({first_line(fault)})",
        where=path,
        hint="make it again with selfstorm calibrate camera",
    )
