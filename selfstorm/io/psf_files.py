"""PSFs that other programs calibrated from beads: SMAP and uiPSF.

The plane in focus is taken, with the light that a camera pixel collects undone:

    SMAP   NAME_3dcal.mat     SXY(1).cspline: coeff (x, y, z, 64), z0, dz
    uiPSF  NAME.h5            res/I_model (z, y, x) or (channel, z, y, x), attribute params: JSON with pixel_size

Everything read is checked before use, and nothing in a file can run.

Reference:
    Li et al., Nature Methods 15, 367 (2018): the coefficients; Liu et al., Nature Methods 21, 1082 (2024): uiPSF.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.errors import InputError, first_line
from selfstorm.frames import Array
from selfstorm.io.regular_file import check_regular
from selfstorm.psf.centre import centre_nm
from selfstorm.psf.sampled import MAX_SIDE, MIN_SIDE, Sampled

COEFFICIENTS = 64  # of a cell, of x^i y^j z^k at i + 4 j + 16 k
FINER = 4  # samples along a camera pixel
MAX_BYTES = 1 << 30
MAX_PLANES, MAX_PIXEL_NM = 2000, 10_000.0
SMAP_HINT = "give the file that SMAP's calibrate3DsplinePSF wrote"
UIPSF_HINT = "give the .h5 file that uiPSF wrote"

Floats = NDArray[np.float64]


def read_psf(path: Path, pixel_nm: float) -> Sampled:
    """Read the PSF in focus from a calibration, by the file's ending.

    Args:
        path: `.mat` of SMAP, `.h5` or `.hdf5` of uiPSF.
        pixel_nm: camera pixel of the movie that the PSF is for.

    Raises:
        InputError: the file is no such calibration, or is of another pixel size.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError("is no PSF calibration", where=path, hint="give SMAP's _3dcal.mat or uiPSF's .h5")
    check_regular(path, "give a PSF calibration")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", where=path) from None
    if size > MAX_BYTES:
        raise InputError(f"has {size >> 20} MB; a PSF has {MAX_BYTES >> 20} at most", where=path)
    try:
        return reader(path, pixel_nm)
    except InputError as error:
        raise InputError(error.what, where=path, hint=error.hint) from None
    except Exception as error:  # whatever a damaged file makes the libraries raise
        raise InputError(f"cannot be read as a PSF ({first_line(error)})", where=path) from error


def evaluate_cspline(coefficients: Floats, z: float) -> Floats:
    """Evaluate cubic splines in a plane, FINER times as finely as the cells.

    Args:
        coefficients: (X, Y, Z, 64).
        z: plane, from the first cell on, in cells.

    Returns:
        (X * FINER, Y * FINER) values, at the middles of the parts of each cell.
    """
    cell = min(max(int(z), 0), coefficients.shape[2] - 1)
    powers_z = (z - cell) ** np.arange(4)
    of_xy = np.tensordot(coefficients[:, :, cell].reshape(*coefficients.shape[:2], 4, 4, 4), powers_z, (2, 0))
    within = ((np.arange(FINER) + 0.5) / FINER)[:, None] ** np.arange(4)  # (FINER, 4)
    values = np.einsum("xyji,ai,bj->xayb", of_xy, within, within)
    return np.asarray(values.reshape(values.shape[0] * FINER, -1))


def _read_smap(path: Path, pixel_nm: float) -> Sampled:
    from scipy.io import loadmat

    if path.read_bytes()[:10].startswith(b"MATLAB 7.3"):
        raise InputError("is of MATLAB 7.3", hint="in MATLAB: s = load(FILE); save(NEW, '-struct', 's', '-v7')")
    try:
        content = loadmat(path, variable_names=["SXY"], struct_as_record=True, squeeze_me=False)
    except Exception as error:
        raise InputError(f"is no MATLAB file ({first_line(error)})", hint=SMAP_HINT) from error
    cspline = _field(content.get("SXY"), "cspline", "SXY")
    coefficients = _array(_field(cspline, "coeff", "SXY(1).cspline"), "coeff")
    if coefficients.ndim != 4 or coefficients.shape[3] != COEFFICIENTS:
        raise InputError(f"has spline coefficients of shape {coefficients.shape}", hint=SMAP_HINT)
    _check_shape(coefficients.shape[2], *coefficients.shape[:2])
    z0 = float(_array(_field(cspline, "z0", "SXY(1).cspline"), "z0").reshape(-1)[0]) - 1  # MATLAB counts from 1
    if not 0 <= z0 <= coefficients.shape[2]:
        raise InputError(f"has its focus in plane {z0 + 1:g} of {coefficients.shape[2]}", hint=SMAP_HINT)
    plane = evaluate_cspline(coefficients, z0).T  # MATLAB's first axis is x there
    return _in_focus(plane, pixel_nm / FINER, pixel_nm, f"SMAP, {path.name}")


def _read_uipsf(path: Path, pixel_nm: float) -> Sampled:
    import h5py

    try:
        opened = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"is no HDF5 file ({first_line(error)})", hint=UIPSF_HINT) from error
    with opened as file:
        links = [file.get(name, getlink=True) for name in ("res", "res/I_model")]
        if not all(isinstance(link, h5py.HardLink) for link in links):  # others lead to other files
            raise InputError("has no res/I_model of its own", hint=UIPSF_HINT)
        if not isinstance(model := file["res/I_model"], h5py.Dataset):
            raise InputError("has no res/I_model of numbers", hint=UIPSF_HINT)
        shape = model.shape[-3:]
        if model.ndim not in (3, 4) or model.external or model.is_virtual:
            raise InputError(f"has a model of shape {model.shape}", hint=UIPSF_HINT)
        _check_shape(*shape)
        stack = _array(model[0] if model.ndim == 4 else model[()], "res/I_model")
        own_nm = _uipsf_pixel_nm(file.attrs.get("params"))
    if own_nm is not None and abs(own_nm / pixel_nm - 1) > 0.02:
        raise InputError(
            f"is of pixels of {own_nm:.0f} nm, the movie's have {pixel_nm:.0f}",
            hint="calibrate with the camera and magnification of the movie",
        )
    concentration = (stack.clip(min=0) ** 2).sum((1, 2)) / stack.clip(min=0).sum((1, 2)).clip(min=1e-12) ** 2
    return _in_focus(stack[int(concentration.argmax())], pixel_nm, pixel_nm, f"uiPSF, {path.name}")


def _uipsf_pixel_nm(params: Any) -> float | None:
    """Return the camera pixel that uiPSF's parameters state in microns."""
    try:
        stated = float(json.loads(params)["pixel_size"]["x"])
    except (TypeError, ValueError, KeyError):
        return None
    return 1000 * stated if math.isfinite(stated) and 0 < 1000 * stated < MAX_PIXEL_NM else None


def _in_focus(plane: Floats, step_nm: float, pixel_nm: float, origin: str) -> Sampled:
    """Make the PSF of a plane that a camera's pixels have integrated.

    A pixel's box widens what it samples: in frequencies by sinc(f p) = 1 - (pi f p)^2 / 6, whose inverse subtracts
    p^2 / 24 of the second derivatives. The brightest sample is the middle, its height in between left to the fit.
    """
    values = plane - np.median(np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]]))
    curved = sum(np.gradient(np.gradient(values, step_nm, axis=axis), step_nm, axis=axis) for axis in (0, 1))
    density = (values - pixel_nm**2 / 24 * curved).clip(min=0)
    y, x = np.unravel_index(int(density.argmax()), density.shape)
    half = min(y, x, density.shape[0] - 1 - y, density.shape[1] - 1 - x, MAX_SIDE // 2)
    if 2 * half + 1 < MIN_SIDE:
        raise InputError("has its brightest place at the edge of the model")
    cut = density[y - half : y + half + 1, x - half : x + half + 1]
    cut = _centred(cut)
    try:
        return Sampled(step_nm, tuple(tuple(float(value) for value in row) for row in cut), origin)
    except ValueError as error:
        raise InputError(f"has a plane in focus with {error}") from None


def _centred(density: Floats) -> Floats:
    """Move the place of the emitter, as far as a step, into the middle."""
    from scipy.ndimage import shift

    by = [-one for one in centre_nm(density, 1.0)]
    return np.asarray(shift(density, by, order=3, mode="nearest").clip(min=0))


def _field(of: Any, name: str, where: str) -> Any:
    """Return a field of the first element of a MATLAB structure."""
    array = np.asarray(of) if of is not None else np.zeros(0)
    if array.dtype.names is None or name not in array.dtype.names or not array.size:
        raise InputError(f"has no {where}.{name}", hint=SMAP_HINT)
    return array.reshape(-1)[0][name]


def _array(values: Any, name: str) -> Floats:
    """Return finite numbers as float64."""
    array: Array = np.asarray(values)
    if array.dtype.kind not in "fiu" or not array.size or not np.isfinite(array).all():
        raise InputError(f"has a {name} that is not of finite numbers")
    return np.asarray(array, np.float64)


def _check_shape(planes: int, height: int, width: int) -> None:
    if not (1 <= planes <= MAX_PLANES and MIN_SIDE <= height <= MAX_SIDE and MIN_SIDE <= width <= MAX_SIDE):
        raise InputError(
            f"has a model of {planes} planes of {height} x {width}",
            hint=f"planes of {MIN_SIDE} to {MAX_SIDE} pixels are read, at most {MAX_PLANES} of them",
        )


READERS: dict[str, Callable[[Path, float], Sampled]] = {".mat": _read_smap, ".h5": _read_uipsf, ".hdf5": _read_uipsf}
