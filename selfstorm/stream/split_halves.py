"""Reconstruct two halves of a window that share only optics and camera.

The earlier and the later frames have densities, emitters and localizations of their own. What both show is not noise.
Halves of alternating short blocks would both hold the emitters that shine across the blocks' edges, whose correlation
with themselves counts as detail. Measurements: docs/decisions/0022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.localizations import Localizations
from selfstorm.metrics.split_halves import HalvesFound
from selfstorm.physics.background import fit_background
from selfstorm.physics.operators import Grid
from selfstorm.stages.covariances import Sums, statistics_of, sums_of, trend, whitened
from selfstorm.stages.density import density
from selfstorm.stages.static_emitters import static_emitters
from selfstorm.stream.covariance_history import CovarianceHistory, fingerprints_of
from selfstorm.stream.instrument import FieldOperators
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.motion import Block, align_and_sum
from selfstorm.stream.per_frame import localize_frames
from selfstorm.stream.processing_level import Quality
from selfstorm.stream.searched_frames import Illumination
from selfstorm.stream.window import WindowFrames

MIN_HALF_FRAMES = 8
ON_TIMES_BETWEEN = 1.5  # left out between the halves: emitters would shine in both
MAX_GAP_SHARE = 1 / 8  # of the window
MAX_WHOLE_OVER_HALF = 8.0  # more is too far to conclude: a claim is then coarser than the truth

Part = tuple[slice, slice]


@dataclass(frozen=True)
class HalfFrames:
    """Frames of one half.

    Attributes:
        numbers: (T,) of the frames.
        y: (T, H, W) photons, of a part of the field.
        gains: (T, 1, 1) brightness of each frame.
        smooth: (T, H, W) photons, out-of-focus light less that of the mean, at equal brightness.
        sums: covariances of these frames.
    """

    numbers: Array
    y: Tensor
    gains: Tensor
    smooth: Tensor
    sums: Sums


def localize_halves(
    model: SequenceModel,
    smaller: SequenceModel,
    window: WindowFrames,
    iterations: int,
    quality: Quality,
    part: Part,
    step: int = 1,
) -> HalvesFound | None:
    """Localize the emitters of the earlier and the later frames, each alone.

    Densities are made of all frames. Emitters are looked for in every so many: frames that are closer than an on-time
    show the same blinks.

    Args:
        model: Model of the field, its history planned.
        smaller: Model of the part (`part_of_model`).
        window: Frames of the window.
        iterations: Iterations of the density.
        quality: Of the localizations.
        part: Rows and columns of the field to look at.
        step: Distance of the frames in which emitters are looked for.

    Returns:
        The localizations; None where there are too few frames.
    """
    y = torch.cat([block.y[..., part[0], part[1]] for block in window.blocks])
    on_frames = _on_frames(_half(model, window, y, np.arange(len(window)), part).sums)
    dealt = _dealt(y, on_frames)
    if dealt is None:
        return None
    halves = [_half(model, window, y, which, part) for which in dealt]
    step = max(min(step, min(map(len, dealt)) // MIN_HALF_FRAMES), 1)
    height, width = (s.stop - s.start for s in part)
    history = model.state.history
    older, found = _older_blocks(history, window), []
    for side, half in enumerate(halves):
        sums = half.sums
        if blocks := older[side::2]:
            velocity = None if history.plan is None else history.plan.velocity
            past = align_and_sum(blocks, velocity, float(window.numbers.mean()))
            sums = sums + past.part(*part)
        found.append(_localized(smaller, half, sums, iterations, quality, step))
    first, second = found
    height_nm, width_nm = height * model.grid.pixel_nm, width * model.grid.pixel_nm
    whole_over_half = min(2 / independent_share(on_frames, step), MAX_WHOLE_OVER_HALF)
    frames = sum(math.ceil(len(which) / step) for which in dealt)
    return HalvesFound(first, second, height_nm, width_nm, whole_over_half, frames)


def part_of_model(model: SequenceModel, part: Part) -> SequenceModel:
    """Return the model of a part of the field."""
    grid = model.grid
    height, width = (s.stop - s.start for s in part)
    if (height, width) == (grid.height, grid.width):
        return model
    smaller = Grid(height, width, grid.scale, grid.pixel_nm)
    return replace(model, operators=FieldOperators.of(model.calibration.psf, smaller, model.compute.device))


def _dealt(y: Tensor, on_frames: float) -> tuple[Array, Array] | None:
    """Deal the frames into an earlier and a later half, with a gap between.

    A frame that a replay repeats is in the earlier half alone.
    """
    gap = min(math.ceil(ON_TIMES_BETWEEN * on_frames), int(MAX_GAP_SHARE * len(y)))
    early = np.arange((len(y) - gap) // 2)
    late = np.arange((len(y) + gap + 1) // 2, len(y))
    names = np.array(fingerprints_of(y.cpu().numpy()))
    late = late[~np.isin(names[late], names[early])]
    return None if min(len(early), len(late)) < MIN_HALF_FRAMES else (early, late)


def _half(model: SequenceModel, window: WindowFrames, y: Tensor, which: Array, part: Part) -> HalfFrames:
    chosen = torch.as_tensor(which, device=y.device)
    gains, knots = window.gains[chosen], window.smooth[chosen]
    out_of_focus = model.operators.out_of_focus
    z = y[chosen] / gains
    varying = out_of_focus.evaluate(knots - trend(knots))[..., part[0], part[1]]
    sums = sums_of(z - trend(z) - varying, None, len(z))
    smooth = out_of_focus.evaluate(knots)[..., part[0], part[1]]
    return HalfFrames(window.numbers[which], y[chosen], gains, smooth, sums)


def _on_frames(sums: Sums) -> float:
    """Estimate how many frames an emitter shines; 0 where less than one.

    The correlation rho of one frame with the next falls as exp(-1 / on-time).
    """
    rho = min(max(float(whitened(sums)[3]), 0.0), 0.99)
    return 0.0 if rho < math.exp(-1) else -1 / math.log(rho)


def independent_share(on_frames: float, step: int) -> float:
    """Return the share of independent blinks that every step-th frame shows.

    Blinks with a correlation of rho = exp(-1 / on-time) from frame to frame count (1 - rho) / (1 + rho) a frame.
    """
    return math.tanh(step / (2 * on_frames)) / math.tanh(1 / (2 * on_frames)) / step if on_frames else 1 / step


def _older_blocks(history: CovarianceHistory, window: WindowFrames) -> list[Block]:
    """Return the planned blocks of frames before the window, newest first.

    A block that repeats frames of the window or of a newer block is left out.
    """
    blocks, first = history.blocks, int(window.numbers[0])
    before = [block for block, after in pairwise(blocks) if after.first <= first]
    own = blocks[len(before) :]
    seen: frozenset[int] = frozenset().union(*(block.fingerprints for block in own))
    planned = len(blocks) if history.plan is None else history.plan.blocks
    older = []
    for block in before[::-1][: max(planned - len(own), 0)]:
        if not seen & block.fingerprints:
            older.append(block)
            seen |= block.fingerprints
    return older[: len(older) // 2 * 2]


def _localized(
    model: SequenceModel, half: HalfFrames, sums: Sums, iterations: int, quality: Quality, step: int
) -> Localizations:
    """Localize the emitters of a half with a density of its own."""
    grid, operators = model.grid, model.operators
    mean = (half.y / half.gains).mean(0)
    m = density(operators.covariance, statistics_of(sums, mean), iterations)
    imaged = operators.imaging.forward(m)
    brightness, background = fit_background(mean, imaged, len(half.y), operators.surfaces)
    steady = static_emitters(operators.imaging, mean, brightness * imaged + background, len(half.y), grid.scale)
    chosen = slice(step // 2, None, step)
    light = Illumination.at(half.gains[chosen], brightness * m + steady, background + half.smooth[chosen])
    return localize_frames(model, half.numbers[chosen], half.y[chosen], light, quality)
