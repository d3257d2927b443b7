"""Is it still the same scene? A density that was carried on, against what new frames say for themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from selfstorm.stages.covariances import contrast, sums_of

NEAR_PX = 4  # within a PSF's reach of it a shift of a map is still like the map
# Standard deviations by which frames of one scene are alike; chance makes less than 3.
LIKENESS = 4.0
# Of the likeness of new frames with each other, what is left with those before: .8 and more of it, also where the
# sample moves, less of it only where sparse emitters were seen for 20 frames; of another scene none, by chance .4.
SAME = 0.55
CHANCE = 1.0  # standard deviation of a likeness, which counts where there is little of it
LOOKED_AT_FRAMES = 25  # at least: sparse emitters show little of a scene in fewer
FEWEST_FRAMES = 6
LEAST_FRAMES = 8  # of a new scene: it is recognised by them and so many before them
# Times the variance of a pixel's frames: mean frames before and after a change of scene differ by more.
CHANGED = 3.0


def scene_match_z(one: Tensor, other: Tensor) -> float:
    """How much more alike two maps (H, W) are in place than shifted, in standard deviations over all shifts.

    Two scenes are alike by chance: both are empty here and bright there. Shifts show how much chance does.
    """
    transforms = [torch.fft.rfft2(z - z.mean()) for z in (one, other)]
    products = torch.fft.irfft2(transforms[0] * transforms[1].conj(), s=one.shape)
    height, width = one.shape
    rows, columns = (torch.arange(n, device=one.device) for n in (height, width))
    far = (torch.minimum(rows, height - rows) >= NEAR_PX)[:, None] | (
        torch.minimum(columns, width - columns) >= NEAR_PX
    )
    if not bool(far.any()):
        return 0.0
    chance = products[far]
    return float((products[0, 0] - chance.mean()) / chance.std().clamp(min=1e-20))


def first_of_scene(frames: Tensor) -> int:
    """Which of frames (T, H, W) photons is the first of the scene that the last ones show; 0 where none changes.

    Where the means of the frames before and after it differ most, in a measure in which chance makes 1.
    """
    count = len(frames)
    if count <= FEWEST_FRAMES:
        return 0
    before = torch.arange(1, count - FEWEST_FRAMES + 1, device=frames.device)
    c = frames - frames.mean(0)
    sums = c.cumsum(0)[: len(before)].square().sum((1, 2))
    between = sums * count / (before * (count - before))
    within = ((c * c).sum() - between) / max(count - 2, 1)
    best = int((between / within.clamp(min=1e-20)).argmax())
    return best + 1 if float(between[best]) > CHANGED * float(within[best]) else 0


def detect_scene_change(expected: Tensor, frames: Tensor) -> bool:
    """Whether frames (T, H, W) photons show another scene than the expected one.

    expected: (lags, H, W), the covariances that a density predicts. Frames in which nothing can be recognised, too few
    or too dim, say nothing: only where their halves agree may they contradict.
    """
    if len(frames) < FEWEST_FRAMES:
        return False
    middle = len(frames) // 2
    one, other = (
        contrast(sums_of(half - half.mean(0), None, len(half))) for half in (frames[:middle], frames[middle:])
    )
    alike = scene_match_z(one, other)
    if alike <= LIKENESS:
        return False
    return scene_match_z(expected.sum(0).clamp(min=0).sqrt(), one + other) < SAME * alike - CHANCE
