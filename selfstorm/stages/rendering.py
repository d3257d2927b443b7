"""Localizations -> a picture, alone or together with the emitter maps.

Each emitter is drawn as its posterior: a Gaussian of its own precision times the density, the prior of emitter
positions. It is drawn on the SR cells themselves, as samples at their centres with a sum of one: drawn on
finer cells and added up it would be blurred by a cell more (measured at scale 4: SSIM 0.968 against 0.989).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.compute.batching import BYTES_PER_NUMBER
from selfstorm.compute.device import precise
from selfstorm.compute.scatter import add_at
from selfstorm.errors import InputError
from selfstorm.localizations import Localizations
from selfstorm.physics.operators import Grid
from selfstorm.stages.candidates import candidates
from selfstorm.stages.emitters import sample_maps
from selfstorm.stages.gaussian_blur import blur, gaussian_kernel
from selfstorm.stages.localization import localize
from selfstorm.stages.stage import Batch, Run, Sample, Stage

MIN_SD_CELLS = 0.5  # a narrower Gaussian would be drawn to the nearest cell's centre
SD_SHARE = 0.8  # sd_nm counts all information shared with overlapping neighbours as lost, which is too pessimistic
MAX_SD_NM = 90.0
REACH_NM = 175.0
PRIOR_FLOOR = 0.1
# With few frames the density is less certain, and in a crowd the maps' share of the picture larger.
PRIOR_POWER, HALF_PRIOR_FRAMES = 0.85, 25
MAPS_SHARE_FRAMES = 12
HALF_WEIGHT_Z = 8.0  # standard errors of its photons at which an emitter counts half
SPOT_PX = 12.6  # 4 pi sigma^2 for pixels as wide as sigma: effective area of a spot in the noise of the background
AMPLITUDE_NM = 150.0  # for details coarser than this, amplitudes come from the maps
MIN_LIGHT = 0.02
BATCH_CELLS = 2**20
SPOT_COPIES, MAPS = 8, 4  # allocated at once: of the cells of a batch of spots, and of the picture


def cells_together(map_bytes: int) -> int:
    """Return the cells of a batch of spots that the memory for maps holds."""
    return max(BATCH_CELLS, map_bytes // (SPOT_COPIES * BYTES_PER_NUMBER))


def render(
    found: Localizations,
    density: Tensor,
    grid: Grid,
    frames: int,
    scale: int | None = None,
    batch_cells: int = BATCH_CELLS,
) -> Tensor:
    """Draw localizations with their precision, weighted by certainty.

    Each counts once, doubtful ones less. Pictures of several batches can be added up.

    Args:
        found: localizations.
        density: (rows, columns) on the padded grid.
        grid: of the density.
        frames: number of frames that the density was learned from.
        scale: cells along a camera pixel; None: the grid's own.
        batch_cells: cells of the spots that are drawn together.

    Returns:
        (scale*H, scale*W).
    """
    scale = grid.scale if scale is None else scale
    if scale < 1:
        raise InputError(f"{scale} cells along a camera pixel", where="scale", hint="give 1 or more")
    cell_nm = grid.pixel_nm / scale
    height, width = grid.height * scale, grid.width * scale
    reach = max(1, round(REACH_NM / cell_nm))
    prior = _prior(density, grid, (height, width), reach)
    out = prior.new_zeros(prior.numel())
    steps = torch.arange(-reach, reach + 1, device=prior.device)
    known = (SD_SHARE * found.sd_nm).clamp(max=MAX_SD_NM) / cell_nm
    sd = known.clamp(min=MIN_SD_CELLS)
    # an emitter drawn wider than its precision must not be pulled more by the prior: weaken it accordingly
    trust = PRIOR_POWER * frames / (frames + HALF_PRIOR_FRAMES) * (known / sd).square().mean(1)
    photons = found.photons.clamp(min=0)
    weight = photons / (photons + HALF_WEIGHT_Z * (SPOT_PX * found.background_photons).sqrt())
    size = max(1, batch_cells // len(steps) ** 2)
    for start in range(0, len(found), size):
        part = slice(start, start + size)
        # fractional cell indices: whole numbers at cell centres (selfstorm.frames)
        y, x = found.y_nm[part, None] / cell_nm - 0.5, found.x_nm[part, None] / cell_nm - 0.5
        i, j = y.round().long().clamp(0, height - 1) + steps, x.round().long().clamp(0, width - 1) + steps
        along_y, along_x = _samples((i - y) / sd[part, :1]), _samples((j - x) / sd[part, 1:])
        place = ((i + reach) * prior.shape[1])[:, :, None] + (j + reach)[:, None, :]
        share = along_y[:, :, None] * along_x[:, None, :] * (trust[part, None, None] * prior.flatten()[place]).exp_()
        share *= (weight[part] / share.sum((1, 2)).clamp(min=1e-20))[:, None, None]
        add_at(out, place.flatten(), share.flatten())
    return out.view(prior.shape)[reach:-reach, reach:-reach]


def fuse(picture: Tensor, maps: Tensor, crowding: Tensor, cell_nm: float, frames: int) -> Tensor:
    """Combine a rendered picture with the coarse amplitudes of emitter maps.

    In a crowd emitters are missed, but none of their light is: the picture is multiplied by the maps' light over its
    own, both blurred by 150 nm, to the power beta = 1 - 1 / median(crowding)^2, and beta * 12 / frames of the maps are
    added, since more is missed in few frames. Sparse data remain pure localizations.

    Args:
        picture: (H, W) cells of cell_nm.
        maps: sum of the emitter maps over the same field, on finer or coarser cells.
        crowding: (E,), >= 1; without emitters the picture stays empty.
        cell_nm: of the picture.
        frames: of the window.

    Returns:
        (H, W), with the total of the maps.
    """
    if not len(crowding):
        return picture
    light = F.interpolate(maps[None, None], size=picture.shape, mode="area")[0, 0]
    crowded = 1 - 1 / precise(crowding.median().clamp(min=1)) ** 2
    ratio = _coarse_light(light, AMPLITUDE_NM / cell_nm) / _coarse_light(picture, AMPLITUDE_NM / cell_nm)
    out = picture * ratio**crowded
    out = out / out.mean().clamp(min=1e-20) + crowded * MAPS_SHARE_FRAMES / frames * light / light.mean()
    return out * (maps.sum() / out.sum().clamp(min=1e-20))


def _coarse_light(z: Tensor, sd: float) -> Tensor:
    """Blur z by a Gaussian of sd cells, scale it to mean 1, add a floor."""
    blurred = blur(z, gaussian_kernel(sd, math.ceil(3 * sd), z.device, z.dtype))
    return blurred / blurred.mean().clamp(min=1e-20) + MIN_LIGHT


def _samples(z: Tensor) -> Tensor:
    """Sample a normal density at z standard deviations: (E, cells).

    It is 1 at the nearest cell, however narrow it is.
    """
    power = -0.5 * z * z
    return torch.exp(power - power.amax(1, keepdim=True))


def _prior(density: Tensor, grid: Grid, shape: tuple[int, int], reach: int) -> Tensor:
    """Return the log density of the field on fine cells.

    The density has mean 1 and a floor for emitters it does not see.

    Args:
        density: (rows, columns) on the padded grid.
        grid: of the density.
        shape: of the field in fine cells.
        reach: border around the field, fine cells.
    """
    field = grid.crop(density)
    field = field / field.mean().clamp(min=1e-20)
    fine = F.interpolate(field[None, None], size=shape, mode="bilinear", align_corners=False) + PRIOR_FLOOR
    return F.pad(fine.log(), (reach,) * 4, mode="replicate")[0, 0]


def _bytes(batch: Batch) -> int:
    """Count spots of one batch with their places, and maps of the picture."""
    spots = SPOT_COPIES * cells_together(batch.map_bytes) * BYTES_PER_NUMBER
    return spots + MAPS * batch.imaging.grid.map_bytes


def _prepare(sample: Sample) -> Run:
    maps, grid, y = sample_maps(sample), sample.imaging.grid, sample.y
    flat = y.new_ones(grid.cells)
    found = localize(y, candidates(maps, grid), torch.ones_like(y), flat, sample.psf, grid)
    return lambda iterations: render(found, flat, grid, len(y))


RENDERING = Stage(
    "drawing", _bytes, _prepare, per_frame=False, batched=True, costs={"drawing": 75.0}, estimates=("fused",)
)
