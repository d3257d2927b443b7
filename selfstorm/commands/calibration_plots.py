"""Plots of calibrations, as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selfstorm.errors import InputError
from selfstorm.io.atomic_files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from selfstorm.calibration.bead_psf import BeadPsf
    from selfstorm.calibration.field_moments import FieldMoments
    from selfstorm.calibration.photon_transfer import PhotonTransfer
    from selfstorm.calibration.sequence_camera import SequenceCamera
    from selfstorm.psf.models import Psf

DPI = 120
DOTS, LINE, MARKS = "#9db7d5", "#c1272d", "#1b4f8a"
SIGNAL, VARIANCE = "signal (ADU, offset subtracted)", "variance (ADU²)"


def write_transfer_plot(path: Path, result: PhotonTransfer, *, overwrite: bool = False) -> None:
    """Draw the photon transfer curve, its deviations and the maps.

    Args:
        path: of the PNG.
        result: of the calibration.
        overwrite: replace a file that is there.
    """
    figure = _figure(13, 7.5)
    (curve, deviations, spread), (offset, gain, noise) = figure.subplots(2, 3)
    used = [level for level in result.levels if not level.clipped]
    clipped = [level for level in result.levels if level.clipped]
    maps = result.calibration
    slope = float(np.median(maps.gain_adu_per_electron[~maps.bad])) * maps.excess_noise
    positive = result.pixels[(result.pixels > 0).all(1)]
    curve.loglog(*positive.T, ".", color=DOTS, markersize=2, label="pixels")
    x = np.array([level.signal_adu for level in result.levels])
    curve.loglog(x, slope * x, "-", color=LINE, label=f"slope {slope:.4g} ADU")
    for levels, mark, label in ((used, "o", "levels"), (clipped, "x", "levels that saturate")):
        if levels:
            xy = [(level.signal_adu, level.variance_adu2) for level in levels]
            curve.loglog(*zip(*xy, strict=True), mark, color=MARKS, label=label)
    _label(curve, f"photon transfer of {maps.name}", SIGNAL, f"{VARIANCE}, read noise subtracted")
    curve.legend(fontsize=8)
    deviations.axhline(0, color=LINE)
    deviations.semilogx(
        [level.signal_adu for level in used], [100 * level.deviation for level in used], "o-", color=MARKS
    )
    _label(deviations, "linearity", SIGNAL, "variance over the line - 1 (%)")
    read = maps.read_noise_electrons[~maps.bad]
    spread.hist(np.minimum(read, np.quantile(read, 0.999)), 60, color=DOTS)
    _label(spread, f"read noise, median {np.median(read):.3g} e", "electrons", "pixels")
    for axes, values, title in (
        (offset, maps.offset_adu, "offset (ADU)"),
        (gain, maps.gain_adu_per_electron, "gain (ADU per electron)"),
        (noise, maps.read_noise_electrons, "read noise (electrons)"),
    ):
        shown = np.where(maps.bad, np.nan, values)
        low, high = np.nanquantile(shown, [0.01, 0.99])
        image = axes.imshow(shown, cmap="viridis", vmin=low, vmax=max(high, low + 1e-9))
        axes.set_title(f"{title}; bad pixels white", fontsize=9)
        figure.colorbar(image, ax=axes, shrink=0.8)
    _write(figure, path, overwrite=overwrite)


def write_sequence_plot(path: Path, found: SequenceCamera, *, overwrite: bool = False) -> None:
    """Draw the mean-variance cloud of a movie with the line of its camera.

    Args:
        path: of the PNG.
        found: the camera.
        overwrite: replace a file that is there.
    """
    if not len(found.level_adu):
        raise InputError("the field is too small for a plot", where=path, hint="give 10 x 10 pixels or more")
    figure = _figure(6.5, 4.8)
    axes = figure.subplots()
    axes.plot(found.level_adu, found.variance_adu2, "o", color=MARKS, label="pixels alike, by their mean")
    camera = found.camera
    x = np.array([min(camera.offset_adu, found.level_adu[0]), found.level_adu[-1]])
    for sign in (-1, 1):
        gain, offset = camera.gain_adu_per_electron, camera.offset_adu
        edge = (gain + sign * found.gain_error_adu) * (x - offset + sign * found.offset_error_adu)
        axes.plot(x, edge, "--", color=LINE, linewidth=0.8, label="one standard error" if sign > 0 else None)
    axes.plot(x, camera.gain_adu_per_electron * (x - camera.offset_adu), color=LINE, label=str(camera))
    axes.set_ylim(bottom=0)
    _label(axes, "noise at the camera's Nyquist frequency", "mean (ADU)", VARIANCE)
    axes.legend(fontsize=8)
    _write(figure, path, overwrite=overwrite)


def write_bead_plot(
    path: Path, found: BeadPsf, pixel_nm: float, z_step_nm: float | None, *, overwrite: bool = False
) -> None:
    """Draw the widths over the planes, and the mean bead in focus.

    Args:
        path: of the PNG.
        found: widths of a bead stack.
        pixel_nm: camera pixel in the sample.
        z_step_nm: distance of the planes; None to count them.
        overwrite: replace a file that is there.
    """
    figure = _figure(9, 4)
    widths, image = figure.subplots(1, 2)
    z = (np.arange(len(found.sigma_y_nm)) - found.focus) * (z_step_nm or 1.0)
    for values, name in ((found.sigma_y_nm, "along y"), (found.sigma_x_nm, "along x")):
        widths.plot(z, values, ".-", label=name)
    widths.axvline(0, color=LINE, linewidth=0.8, label="narrowest")
    _label(widths, f"{found.beads} beads", "z (nm)" if z_step_nm else "plane", "sigma (nm)")
    widths.legend(fontsize=8)
    half = pixel_nm * len(found.image) / 2
    image.imshow(found.image, cmap="inferno", extent=(-half, half, half, -half))
    _label(image, "mean bead in focus", "x (nm)", "y (nm)")
    _write(figure, path, overwrite=overwrite)


def write_moments_plot(
    path: Path, moments: FieldMoments, psf: Psf, pixel_nm: float, *, overwrite: bool = False
) -> None:
    """Draw measured covariances over their distance with those of a PSF.

    Args:
        path: of the PNG.
        moments: of a movie.
        psf: found in them.
        pixel_nm: camera pixel in the sample.
        overwrite: replace a file that is there.
    """
    from selfstorm.calibration.field_moments import FIELD_LAGS
    from selfstorm.calibration.psf_autocorrelation import autocorrelation

    figure = _figure(6.5, 4.8)
    axes = figure.subplots()
    measured, expected = moments.mean, autocorrelation(psf, pixel_nm)
    basis = np.c_[expected, np.ones_like(expected)]
    amplitude, level = np.linalg.lstsq(basis, measured, rcond=None)[0]
    apart = pixel_nm * np.hypot(*FIELD_LAGS.T)
    error = np.sqrt(np.diag(moments.covariance)) if len(moments.pairs) > 3 else np.zeros(len(measured))
    axes.errorbar(apart, (measured - level) / amplitude, error / abs(amplitude), fmt="o", color=MARKS, label="measured")
    order = np.argsort(apart)
    axes.plot(apart[order], expected[order], ".-", color=LINE, label=str(psf))
    _label(axes, "covariance of pixels at a distance", "distance (nm)", "autocorrelation of the PSF")
    axes.legend(fontsize=8)
    _write(figure, path, overwrite=overwrite)


def _figure(width_inch: float, height_inch: float) -> Figure:
    """Make an empty figure that needs no screen."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("plots need matplotlib", hint="pip install selfstorm[engine]") from None
    figure = Figure(figsize=(width_inch, height_inch), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _label(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _write(figure: Figure, path: Path, *, overwrite: bool) -> None:
    with atomic_write(path, overwrite=overwrite) as part:
        figure.savefig(part, dpi=DPI, format="png")
