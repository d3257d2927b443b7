"""Detect a change of scene.

The density so far is compared with the covariances of new frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.compute.cuda_graphs import Graphs, fits_graph
from selfstorm.stages.covariances import contrast, noise_floor, sums_of, whitened

NEAR_PX = 4  # within a PSF's reach of it a shift of a map is still like the map
MATCH_Z = 4.0  # frames of one scene match by more; by chance by less than 3
# Share of the match of new frames with each other that remains with the frames before: .8 and more within a scene, also
# where it moves, less only where sparse emitters were seen for 20 frames; with another scene 0, by chance .4.
SAME_SCENE_SHARE = 0.55
MATCH_SD = 1.0  # standard deviation of a match, which counts where the match is weak
TILE_PX = NEAR_PX  # of the field: a part that an emitter or two may fill
# Standard deviations of such a part that the missing match must exceed: by chance it reached 4.6 of them.
MISSING_TILES = 5.0
MIN_COMPARED_FRAMES = 25  # sparse emitters show little of a scene in fewer
MIN_HALVES_FRAMES = 6
MIN_SCENE_FRAMES = 8  # of a new scene: it is detected in them and as many before them
CHANGE_RATIO = 3.0  # of the variance between the means before and after a change to the variance within


@dataclass(frozen=True, eq=False)
class SceneMatch:
    """Match of two maps, in standard deviations of what chance makes.

    Attributes:
        z: a scalar, 0 where a field has no far shifts.
        in_tiles: (N,) what each part of the field adds to it.
    """

    z: Tensor
    in_tiles: Tensor


def match_scenes(one: Tensor, other: Tensor, far: Tensor) -> SceneMatch:
    """Compare the match of two maps (H, W) with that of far shifts.

    Two scenes match by chance, because both are empty here and bright there. Shifts show by how much.

    Args:
        one: a map.
        other: a map.
        far: flat indices of the far shifts.
    """
    centred = one - one.mean(), other - other.mean()
    tiles = F.avg_pool2d((centred[0] * centred[1])[None], TILE_PX, ceil_mode=True, divisor_override=1).flatten()
    transforms = [torch.fft.rfft2(z) for z in centred]
    products = torch.fft.irfft2(transforms[0] * transforms[1].conj(), s=one.shape)
    if not len(far):
        return SceneMatch(one.new_zeros(()), torch.zeros_like(tiles))
    chance = products.flatten()[far]
    sd = chance.std().clamp(min=1e-20)
    return SceneMatch((products[0, 0] - chance.mean()) / sd, tiles / sd)


@lru_cache(maxsize=4)
def _far_shifts(height: int, width: int, device: torch.device) -> Tensor:
    """Return the flat indices of shifts of (H, W) beyond NEAR_PX."""
    rows, columns = torch.arange(height), torch.arange(width)
    along_y, along_x = torch.minimum(rows, height - rows), torch.minimum(columns, width - columns)
    return ((along_y >= NEAR_PX)[:, None] | (along_x >= NEAR_PX)).flatten().nonzero()[:, 0].to(device)


def first_of_scene(frames: Tensor) -> int:
    """Find the first of frames (T, H, W) photons of the last scene.

    Returns 0 where the scene does not change.

    It is where the means of the frames before and after it differ most, relative to the variance within.
    """
    count = len(frames)
    if count <= MIN_HALVES_FRAMES:
        return 0
    before = torch.arange(1, count - MIN_HALVES_FRAMES + 1, device=frames.device)
    c = frames - frames.mean(0)
    sums = c.cumsum(0)[: len(before)].square().sum((1, 2))
    between = sums * count / (before * (count - before))
    within = ((c * c).sum() - between) / max(count - 2, 1)
    best = (between / within.clamp(min=1e-20)).argmax(keepdim=True)
    # not indexed: an index on a device is waited for
    number, found, noise = torch.cat([best.to(between.dtype), between.gather(0, best), within.gather(0, best)]).tolist()
    return int(number) + 1 if found > CHANGE_RATIO * noise else 0


def detect_scene_change(expected: Tensor, frames: Tensor, graphs: Graphs | None = None) -> bool:
    """Return whether frames show another scene than the expected one.

    Frames that are too few or too dim decide nothing: only where their halves match may they contradict. In a small
    field the halves may match by one or two emitters that shine by chance. Then the missing match is in few parts of
    the field, and no larger than what these parts scatter by.

    Args:
        expected: (lags, H, W), the covariances that a density predicts.
        frames: (T, H, W) photons.
        graphs: CUDA graphs; None for none.
    """
    if len(frames) < MIN_HALVES_FRAMES:
        return False
    inputs = expected, frames, _far_shifts(*frames.shape[1:], frames.device)
    # a graph copies the frames, so large ones are matched without
    match = _match(*inputs) if graphs is None or not fits_graph(inputs) else graphs.run("scene match", _match, *inputs)
    alike, missed, scatter = match.tolist()
    return bool(alike > MATCH_Z and missed > max(MATCH_SD, MISSING_TILES * scatter))


def _match(expected: Tensor, frames: Tensor, far: Tensor) -> Tensor:
    """Match halves of frames, and both with expected covariances.

    See `match_scenes` for the far shifts.

    Returns:
        (3,): match of the halves, how much of it both lack with the expected, and by how much its parts scatter.
    """
    middle = len(frames) // 2
    one, other = (_contrast(half) for half in (frames[:middle], frames[middle:]))
    halves, known = match_scenes(one, other, far), match_scenes(expected.sum(0).clamp(min=0).sqrt(), one + other, far)
    missing = SAME_SCENE_SHARE * halves.z - known.z
    in_tiles = SAME_SCENE_SHARE * halves.in_tiles - known.in_tiles
    return torch.stack([halves.z, missing, in_tiles.std(correction=0)])


def _contrast(frames: Tensor) -> Tensor:
    covariance, uncertainty, _, _ = whitened(sums_of(frames - frames.mean(0), None, len(frames)))
    return contrast(covariance, noise_floor(uncertainty))
