"""Scores of pictures and localizations against emitter ground truth.

Pictures are compared on a grid of 12.5 nm whose origin is the top-left corner of the first camera pixel, both
blurred by a Gaussian of 20 nm, after the best global shift is removed (methods differ by half a pixel).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.ndimage import shift as shift_picture
from skimage.metrics import structural_similarity
from skimage.registration import phase_cross_correlation

from selfstorm.errors import InputError
from selfstorm.metrics.frc import frc_resolution_nm
from selfstorm.metrics.matching import match

Floats = NDArray[np.float64]
FINE_NM = 12.5
MAX_SHIFT_NM = 150.0
MIN_SIDE = 16  # fine cells
MAX_CELLS = 8_192**2  # fine cells: about 5 GB of memory


@dataclass(frozen=True, slots=True)
class PictureScore:
    """Scores of a picture against the truth.

    Attributes:
        pearson: Correlation over all cells.
        psnr_db: After the least-squares line from picture to truth; the peak is the truth's range.
        ssim: After the same line.
        gt_frc_nm: Resolution by Fourier ring correlation with the truth.
        shift_nm: (y, x) by which the picture was moved.
    """

    pearson: float
    psnr_db: float
    ssim: float
    gt_frc_nm: float
    shift_nm: tuple[float, float]


@dataclass(frozen=True, slots=True)
class LocalizationScore:
    """Scores of localizations against the truth.

    Attributes:
        jaccard: TP / (TP + FP + FN); 0 where the denominator is, as for the next two.
        recall: TP / (TP + FN).
        precision: TP / (TP + FP).
        rmse_nm: Root-mean-square distance of the matched pairs; NaN where no pair matched.
    """

    jaccard: float
    recall: float
    precision: float
    rmse_nm: float


def score_picture(
    picture: ArrayLike,
    emitters_yx_nm: ArrayLike,
    pitch_nm: float,
    *,
    blur_nm: float = 20.0,
    align: bool = True,
) -> PictureScore:
    """Score a picture against the emitters that it should show.

    A pitch that is a multiple of 12.5 nm is refined by repetition, any other by linear interpolation.

    Args:
        picture: (H, W), cells of pitch_nm.
        emitters_yx_nm: (N, 2), one row per emitter and frame, from the picture's top-left corner.
        pitch_nm: Size of a cell.
        blur_nm: Standard deviation of the Gaussian that the truth is drawn with.
        align: Move the picture by whole cells to where it fits best.

    Raises:
        InputError: The picture is constant, not finite or smaller than 200 nm, or all emitters lie outside it.
    """
    image = _checked_picture(picture, pitch_nm)
    emitters = _checked_rows(emitters_yx_nm, 2, "emitters_yx_nm")
    image = _to_fine_grid(image, pitch_nm)
    truth = render(emitters, image.shape, FINE_NM)
    if truth.max() == truth.min():
        raise InputError("no emitter lies in the picture", where="emitters_yx_nm", hint="check unit and origin")
    moved = np.zeros(2)
    if align:
        limit = MAX_SHIFT_NM / FINE_NM
        shift, *_ = phase_cross_correlation(
            gaussian_filter(truth, 1.5), gaussian_filter(image, 1.5), upsample_factor=20, normalization=None
        )
        moved = np.clip(shift, -limit, limit)
        image = shift_picture(image, moved, order=1)
    blurred, wanted = gaussian_filter(image, blur_nm / FINE_NM), gaussian_filter(truth, blur_nm / FINE_NM)
    if np.ptp(blurred) <= 1e-12 * np.abs(blurred).max():
        raise InputError("the picture is constant", where="picture", hint="give one with structure in it")
    pearson, fitted = _line_fit(blurred, wanted)
    peak = float(np.ptp(wanted))
    relative_error = math.sqrt(float(np.mean((fitted - wanted) ** 2))) / peak
    return PictureScore(
        pearson=pearson,
        psnr_db=-20 * math.log10(max(relative_error, 1e-15)),
        ssim=float(structural_similarity(fitted, wanted, data_range=peak, gaussian_weights=True)),
        gt_frc_nm=frc_resolution_nm(blurred, wanted, FINE_NM),
        shift_nm=(float(moved[0]) * FINE_NM, float(moved[1]) * FINE_NM),
    )


def render(yx_nm: Floats, shape: tuple[int, ...], pitch_nm: float, weights: Floats | None = None) -> Floats:
    """Count emitters per cell, or sum their weights.

    Args:
        yx_nm: (N, 2) from the corner of the field.
        shape: (H, W) of the field.
        pitch_nm: Size of a cell.
        weights: (N,) of each emitter; None: 1.

    Returns:
        (H, W).
    """
    field = (0, shape[0] * pitch_nm), (0, shape[1] * pitch_nm)
    return np.histogram2d(yx_nm[:, 0], yx_nm[:, 1], bins=shape, range=field, weights=weights)[0]


def score_localizations(found: ArrayLike, true: ArrayLike, tolerance_nm: float = 100.0) -> LocalizationScore:
    """Match localizations to emitters frame by frame and count.

    In each frame, of the one-to-one pairings with most pairs within the tolerance, the one with the smallest total
    distance.

    Args:
        found: (N, 3 or more) rows of frame, y_nm, x_nm; may be empty.
        true: likewise.
        tolerance_nm: Largest distance of a pair.

    Reference:
        Sage et al., Super-resolution fight club, Nature Methods 16, 387 (2019).
    """
    by_frame = [_by_frame(_checked_rows(rows, 3, name)) for rows, name in ((found, "found"), (true, "true"))]
    squares: list[Floats] = []
    count_found, count_true = (sum(len(rows) for rows in table.values()) for table in by_frame)
    for frame in sorted(by_frame[0].keys() & by_frame[1].keys()):
        squares.append(match(by_frame[0][frame], by_frame[1][frame], tolerance_nm) ** 2)
    matched = np.concatenate(squares) if squares else np.empty(0)
    hits = matched.size
    return LocalizationScore(
        jaccard=hits / max(count_found + count_true - hits, 1),
        recall=hits / max(count_true, 1),
        precision=hits / max(count_found, 1),
        rmse_nm=math.sqrt(float(matched.mean())) if hits else math.nan,
    )


def _checked_picture(picture: ArrayLike, pitch_nm: float) -> Floats:
    image = np.asarray(picture, float)
    if not (math.isfinite(pitch_nm) and 0.1 <= pitch_nm <= 10_000):
        raise InputError(f"{pitch_nm!r} is out of range", where="pitch_nm", hint="give 0.1 to 10000 nm a cell")
    if image.ndim != 2:
        raise InputError(f"shape {image.shape}", where="picture", hint="give a picture of shape (H, W)")
    if min(image.shape) * pitch_nm < MIN_SIDE * FINE_NM:
        raise InputError(f"{image.shape} cells of {pitch_nm:g} nm", where="picture", hint="give 200 nm or more a side")
    if image.size * (pitch_nm / FINE_NM) ** 2 > MAX_CELLS:
        raise InputError(
            f"{image.shape} cells of {pitch_nm:g} nm are too many to score",
            where="picture",
            hint="score a part of at most 100 x 100 microns",
        )
    if not np.isfinite(image).all():
        raise InputError("holds values that are not finite", where="picture", hint="find out what made them")
    if image.max() == image.min():
        raise InputError("the picture is constant", where="picture", hint="give one with structure in it")
    return image


def _checked_rows(rows: ArrayLike, columns: int, name: str) -> Floats:
    """Check for rows of `columns` finite numbers; drop further columns."""
    table = np.asarray(rows, float)
    if table.size == 0:
        return np.empty((0, columns))
    if table.ndim != 2 or table.shape[1] < columns:
        raise InputError(f"shape {table.shape}", where=name, hint=f"give rows of {columns} numbers")
    table = table[:, :columns]
    if not np.isfinite(table).all():
        raise InputError("holds values that are not finite", where=name, hint="leave such rows out")
    return table


def _to_fine_grid(image: Floats, pitch_nm: float) -> Floats:
    """Resample a picture to cells of 12.5 nm."""
    factor = pitch_nm / FINE_NM
    if abs(factor - round(factor)) < 1e-6:
        fine = np.kron(image, np.ones((round(factor), round(factor))))
    else:
        fine = zoom(image, factor, order=1)
    return np.asarray(fine, np.float64)


def _line_fit(image: Floats, wanted: Floats) -> tuple[float, Floats]:
    """Compute Pearson's correlation and the least-squares line to the truth."""
    centred, target = image - image.mean(), wanted - wanted.mean()
    power, shared = float((centred**2).sum()), float((centred * target).sum())
    pearson = shared / math.sqrt(power * float((target**2).sum()))
    return pearson, centred * (shared / power) + wanted.mean()


def _by_frame(rows: Floats) -> dict[Any, Floats]:
    """Group positions (N, 2) by frame."""
    frames, counts = np.unique(rows[:, 0], return_counts=True)
    ordered = rows[np.argsort(rows[:, 0], kind="stable"), 1:3]
    parts = np.split(ordered, np.cumsum(counts)[:-1]) if len(frames) else []
    return dict(zip(frames.tolist(), parts, strict=True))
