"""Quality of a picture without ground truth.

Agreement with the mean frame, error map.

Reference:
    Culley et al., Quantitative mapping and minimization of super-resolution optical imaging artifacts, Nature Methods
    15, 263 (2018), for the error map; here with the PSF that the picture was made with and a smooth background.
    Spearman, The proof and measurement of association between two things, American Journal of Psychology 15, 72
    (1904), for the correction of a correlation for noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.physics.background import KNOT_SPACING_PX
from selfstorm.physics.operators import Grid, Imaging
from selfstorm.physics.splines import spline_basis

MIN_SIGNAL_POWER = 2.0  # times the power of its noise: a mean frame below shows no structure


@dataclass(frozen=True, slots=True)
class SelfConsistency:
    """A picture, imaged again, against the mean frame.

    Args:
        error_map: (H, W) float32, photons per frame on camera pixels: mean frame less what the picture explains; above
            0 where the picture lacks light, below 0 where it shows what is not there.
        agreement: Pearson correlation of the two without background (SQUIRREL's RSP), corrected for the noise of the
            mean frame, -1..1; None where the mean frame shows nothing but background and noise.
    """

    error_map: Array
    agreement: float | None


def assess(
    picture: Tensor,
    around: Tensor,
    imaging: Imaging,
    grid: Grid,
    seen: Tensor,
    background: Tensor | None = None,
) -> SelfConsistency:
    """Compare a picture, imaged again, with the mean of its camera frames.

    Brightness and a smooth background are fitted, so that the picture need not be in photons, but it must be linear in
    light. A density is a variance, in which bright emitters count by the square and steady ones not at all, and in a
    'fused' picture of sparse emitters each counts the same: where brightness varies over the field, their agreement is
    lower than their positions deserve.

    Args:
        picture: (s*H, s*W) of the field, any unit linear in light, any scale s.
        around: (rows, columns) of the padded grid in the same unit, for light from outside the field.
        imaging: The microscope.
        grid: The field and its SR cells.
        seen: (H, W) photons, the mean frame.
        background: (H, W) photons, of the mean frame where it is known; it may have edges.
    """
    return assess_imaged(imaged_again(picture, around, imaging, grid), seen, background)


def imaged_again(picture: Tensor, around: Tensor, imaging: Imaging, grid: Grid) -> Tensor:
    """Image a picture with the microscope, (H, W); see `assess`."""
    cells = around.clone()
    grid.crop(cells).copy_(resampled(picture, grid.height * grid.scale))
    return imaging.forward(cells)


def assess_imaged(imaged: Tensor, seen: Tensor, background: Tensor | None = None) -> SelfConsistency:
    """Compare a picture, imaged to (H, W), with the mean frame; see `assess`."""
    frame = seen.cpu().double()
    clear = frame if background is None else frame - background.cpu().double()
    shown, drawn = (_without_background(z) for z in (clear, imaged.cpu().double()))
    shown_power, drawn_power = float(shown.square().mean()), float(drawn.square().mean())
    shared = float((shown * drawn).mean())
    brightness = max(shared / drawn_power, 0.0) if drawn_power > 0 else 0.0
    error = (shown - brightness * drawn).float().numpy()
    noise = _noise_power(frame)
    if shown_power <= MIN_SIGNAL_POWER * noise:
        return SelfConsistency(error, None)
    # noise of the mean keeps even a perfect picture's correlation below sqrt(1 - noise / power): divide by that
    true_power = (shown_power - noise) * drawn_power
    agreement = shared / math.sqrt(true_power) if true_power > 0 else 0.0
    return SelfConsistency(error, min(max(agreement, -1.0), 1.0))


def shows_structure(mean: Tensor) -> bool:
    """Return True if a mean frame shows more than smooth light and noise.

    Args:
        mean: (H, W) photons.
    """
    frame = mean.cpu().double()
    return float(_without_background(frame).square().mean()) > MIN_SIGNAL_POWER * _noise_power(frame)


def _without_background(z: Tensor) -> Tensor:
    """Subtract the smooth background that fits (H, W) best by least squares."""
    along_y, along_x = (torch.linalg.qr(spline_basis(pixels, z, KNOT_SPACING_PX))[0] for pixels in z.shape)
    smooth: Tensor = along_y @ (along_y.T @ z @ along_x) @ along_x.T
    return z - smooth


def _noise_power(z: Tensor) -> float:
    """Estimate the variance of pixel-to-pixel noise in (H, W).

    Shot noise and the camera's fixed pattern alike.

    Second differences along both axes leave next to nothing of smooth light, and 36 times the variance of noise.

    Reference:
        Immerkaer, Fast noise variance estimation, Computer Vision and Image Understanding 64, 300 (1996).
    """
    return float(z.diff(n=2, dim=0).diff(n=2, dim=1).square().mean()) / 36


def resampled(picture: Tensor, rows: int) -> Tensor:
    """Resample a picture to that many rows of square cells; photons stay."""
    share = rows / picture.shape[0]
    if share == 1:
        return picture
    shape = rows, round(picture.shape[1] * share)
    return F.interpolate(picture[None, None], size=shape, mode="area")[0, 0] / share**2
