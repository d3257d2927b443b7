"""How good a picture is, without knowing the truth: imaged again and compared with what the camera saw; resolution.

The error map is that of NanoJ-SQUIRREL (Culley et al., Quantitative mapping and minimization of super-resolution
optical imaging artifacts, Nature Methods 15, 263 (2018)), but with the PSF that the picture was made with and with a
smooth background. Resolution: see `resolution_nm`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.localizations import Localizations
from selfstorm.metrics.frc import frc_resolution_nm
from selfstorm.physics.background import spline_basis
from selfstorm.physics.operators import Grid, Imaging

TRUSTED_AGREEMENT = 0.7
NOTHING_SEEN = 2.0  # times the power of its noise: a mean frame below shows no structure
DISTRUST = "what it shows does not explain the camera's mean: do not trust it"
FINE_NM = 12.5
MOST_SIDE = 2048  # fine cells: of a larger field its middle
LEAST_FOUND = 500  # localisations


@dataclass(frozen=True, slots=True)
class SelfConsistency:
    """What can be said of a picture.

    error_map: (H, W) float32, photons a frame on camera pixels: what the camera saw less what the picture explains,
    > 0 where the picture leaves light out, < 0 where it shows what is not there. agreement: Pearson correlation of the
    two without the background, -1..1 (SQUIRREL's RSP); None where the camera's mean shows nothing but background and
    noise. doubtful: it is lower than noise explains, and should be higher for a picture that is linear in light.
    """

    error_map: Array
    agreement: float | None
    doubtful: bool


def judged(picture: Tensor, around: Tensor, imaging: Imaging, grid: Grid, seen: Tensor) -> SelfConsistency:
    """Compare a picture, imaged again, with the mean of the camera frames that it was made of.

    picture: (s*H, s*W) of the field, any unit linear in light, s any scale. around: (rows, columns) of the padded grid
    in the same unit, for what shines in from outside the field. seen: (H, W) photons, the mean frame.

    The picture's brightness and a smooth background are fitted, so the picture need not be in photons. But it must be
    linear in light: a density is a variance, in which bright emitters count by the square and steady ones not at all,
    and in a 'fused' picture of sparse emitters each counts the same. Where brightness differs from place to place the
    agreement of these is lower than their positions deserve.
    """
    cells = around.clone()
    grid.crop(cells).copy_(resampled(picture, grid.height * grid.scale))
    shown, drawn = (_sharp(z.cpu().double()) for z in (seen, imaging.forward(cells)))
    shown_power, drawn_power = float(shown.square().mean()), float(drawn.square().mean())
    shared = float((shown * drawn).mean())
    brightness = max(shared / drawn_power, 0.0) if drawn_power > 0 else 0.0
    error = (shown - brightness * drawn).float().numpy()
    noise = _noise_power(seen.cpu().double())
    if shown_power <= NOTHING_SEEN * noise:
        return SelfConsistency(error, None, False)
    agreement = shared / math.sqrt(shown_power * drawn_power) if drawn_power > 0 else 0.0
    # the noise of the mean keeps even a perfect picture's agreement below one
    doubtful = agreement < TRUSTED_AGREEMENT * math.sqrt(1 - noise / shown_power)
    return SelfConsistency(error, agreement, doubtful)


def _sharp(z: Tensor) -> Tensor:
    """(H, W) without the smooth background that fits it best, by least squares."""
    along_y, along_x = (torch.linalg.qr(spline_basis(pixels, z))[0] for pixels in z.shape)
    smooth: Tensor = along_y @ (along_y.T @ z @ along_x) @ along_x.T
    return z - smooth


def _noise_power(z: Tensor) -> float:
    """Variance of what differs from pixel to pixel in (H, W), shot noise and the camera's pattern alike.

    Of differences that smooth light leaves next to nothing in: Immerkaer, Fast noise variance estimation, Computer
    Vision and Image Understanding 64, 300 (1996).
    """
    return float(z.diff(n=2, dim=0).diff(n=2, dim=1).square().mean()) / 36


def resolution_nm(found: Localizations, grid: Grid) -> float | None:
    """Resolution of localisations by the Fourier ring correlation of two halves, None where too few tell.

    The halves are the earlier and the later frames: in shorter blocks by turns, emitters that shine for several frames
    would be in both, and their correlation with themselves would be taken for detail (measured: 28 nm where the
    structure's is 74). Both are counted on cells of 12.5 nm, so less than 25 nm is never said. The measure and its
    threshold, 1/7: Nieuwenhuizen et al., see selfstorm.metrics.frc.

    Each half has half of the emitters, so it is a careful figure: where they are sparse it says how well the structure
    is sampled rather than how exact they are, and what moves is as coarse as it moved.
    """
    if len(found) < LEAST_FOUND:
        return None
    later = (2 * found.frame >= found.frame[0] + found.frame[-1] + 1).cpu().numpy()
    side_nm = min(grid.height, grid.width) * grid.pixel_nm
    side = min(int(side_nm / FINE_NM), MOST_SIDE)
    corner_nm = (side_nm - side * FINE_NM) / 2
    edges = np.linspace(corner_nm, corner_nm + side * FINE_NM, side + 1)
    y_nm, x_nm = found.y_nm.cpu().numpy(), found.x_nm.cpu().numpy()
    first, second = (np.histogram2d(y_nm[half], x_nm[half], bins=(edges, edges))[0] for half in (~later, later))
    resolution = frc_resolution_nm(first, second, FINE_NM)
    return None if resolution > side * FINE_NM / 4 else resolution


def resampled(picture: Tensor, rows: int) -> Tensor:
    """The picture on so many rows of square cells; photons stay what they are."""
    share = rows / picture.shape[0]
    if share == 1:
        return picture
    shape = rows, round(picture.shape[1] * share)
    return F.interpolate(picture[None, None], size=shape, mode="area")[0, 0] / share**2
