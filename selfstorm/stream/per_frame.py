"""Stages B and C per frame: emitter maps, and localisations from them.

Emitters of a frame are found once and kept with it for the next windows, so a stride costs its own frames and not the
window's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.batching import frames_together, free_bytes, retry_on_oom
from selfstorm.frames import Array
from selfstorm.localizations import Localizations, joined
from selfstorm.psf.emitters import Emitters
from selfstorm.stages.candidates import candidates
from selfstorm.stages.emitters import EMITTER_SETTINGS, emitter_maps
from selfstorm.stages.localization import LOCALIZATION_SETTINGS, localize
from selfstorm.stream.frame_store import FrameBlock, needs_emitters
from selfstorm.stream.memory_plan import plan
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.processing_level import Estimate, Quality

MIN_PHOTONS = 1e-3
MIN_BACKGROUND = 1e-2  # photons


@dataclass(frozen=True)
class Illumination:
    """Light that the emitters of some frames are found in.

    Attributes:
        emitters: (rows, columns) > 0, photons that a cell of the padded grid emits in a mean frame.
        background: (T, H, W) photons.
        gains: (T, 1, 1) brightness of each frame.
    """

    emitters: Tensor
    background: Tensor
    gains: Tensor

    @classmethod
    def at(cls, gains: Tensor, emitters: Tensor, background: Tensor) -> Illumination:
        """Make the light of frames of other brightness.

        Args:
            gains: (T, 1, 1) brightness of each frame.
            emitters: (rows, columns) photons in a mean frame.
            background: (T, H, W) photons at the brightness of a mean frame.
        """
        return cls(emitters, background.clamp(min=MIN_BACKGROUND) * gains, gains)


@dataclass(frozen=True)
class ProgressCallbacks:
    """Callbacks of progress.

    Attributes:
        advance: called with the number of frames done since the last call.
        mark: called with the name of each step done.
    """

    advance: Callable[[int], None] = lambda frames: None
    mark: Callable[[str], None] = lambda step: None


NO_CALLBACKS = ProgressCallbacks()


def localize_block(
    model: SequenceModel,
    block: FrameBlock,
    light: Illumination,
    wanted: Estimate,
    quality: Quality,
    callbacks: ProgressCallbacks,
) -> FrameBlock:
    """Find the emitters of a block for an estimate, unless already found.

    Args:
        model: model of the field.
        block: frames, (T, H, W).
        light: illumination of the same frames.
        wanted: 'emitters' for emitter maps, 'fused' for localisations too.
        quality: sets the iterations.
        callbacks: callbacks of progress.

    Returns:
        The block with its emitters. Limits are halved where memory was short: no batch is made twice.
    """
    localizing, prior_frames = wanted == "fused", model.state.history.frames
    if not needs_emitters(block, localizing, prior_frames):
        callbacks.advance(len(block))
        return block
    grid, operators, compute = model.grid, model.operators, model.compute
    imaging, psf = operators.imaging, model.calibration.psf
    prior = light.emitters / grid.crop(light.emitters).mean().clamp(min=1e-12)
    y, start = block.y.clamp(min=0) + MIN_PHOTONS, light.emitters.mean() * light.gains
    seen, background, variance = y, light.background, model.calibration.read_variance(y)
    if variance is not None:
        y = block.y
        seen, background = (y + variance).clamp(min=0) + MIN_PHOTONS, light.background + variance
        variance = model.calibration.read_variance(y, of_fits=True)
    free = free_bytes(compute.device)
    compute.planned = plan(imaging, operators.covariance, len(y), compute.limits, free).limits

    def network(y: Tensor, prior: Tensor, start: Tensor, background: Tensor) -> Tensor:
        return emitter_maps(imaging, y, prior, start, background, EMITTER_SETTINGS[quality])

    def maps_from(begin: int) -> tuple[int, Tensor, Emitters | None]:
        """Compute the maps of a batch from frame `begin` on.

        Returns:
            The end of the batch, the sum of its maps, and the candidates for emitters.
        """
        part = slice(begin, begin + frames_together(prior.numel(), compute.planned.map_bytes))
        maps = operators.graphs.run(("emitters", quality), network, seen[part], prior, start[part], background[part])
        return begin + len(maps), maps.sum(0), candidates(maps, grid) if localizing else None

    def fitted_from(begin: int, waiting: Emitters, start: int) -> tuple[int, Localizations]:
        """Localise the emitters of one group of frames from frame `begin` on.

        Args:
            begin: first frame of the group.
            waiting: candidates, their frames counted from `start`.
            start: number of their first frame.

        Returns:
            The end of the group, and its localisations.
        """
        stop = group_end(waiting.frame, begin - start, end - start, compute.max_group) + start
        chosen = waiting.where((waiting.frame >= begin - start) & (waiting.frame < stop - start))
        if begin > start:
            chosen = chosen._replace(frame=chosen.frame - (begin - start))
        group = slice(begin, stop)
        settings = LOCALIZATION_SETTINGS[quality]
        fit = localize(y[group], chosen, light.background[group], prior, psf, grid, settings, variance)
        return stop, _numbered(fit, block.numbers[group])

    def halve(error: Exception) -> bool:
        return compute.halve_limits()

    total, first, end = torch.zeros_like(prior), 0, 0
    found: list[Localizations] = []
    waiting: list[Emitters] = []
    while end < len(y):
        begin = end
        end, batch_total, emitters = retry_on_oom(partial(maps_from, begin), halve)
        total += batch_total
        if emitters is not None:
            callbacks.mark("emitters")
            waiting.append(emitters._replace(frame=emitters.frame + (begin - first)))
            if sum(len(some.frame) for some in waiting) < compute.planned.emitters and end < len(y):
                continue
            together, done = Emitters(*(torch.cat(values) for values in zip(*waiting, strict=True))), first
            while done < end:
                done, fit = retry_on_oom(partial(fitted_from, done, together, first), halve)
                found.append(fit)
            waiting = []
        callbacks.mark("localisations" if localizing else "emitters")
        callbacks.advance(end - first)
        first = end
    return replace(
        block,
        total=total,
        background=light.background.mean(0),
        found=joined(found) if found else None,
        prior_frames=prior_frames,
    )


def group_end(frame: Tensor, begin: int, end: int, max_emitters: int | None) -> int:
    """Return the end of a group of frames that hold at most so many emitters.

    Args:
        frame: (E,) frame of each emitter.
        begin: first frame of the group, which is in it however many emitters it holds.
        end: end of the last group.
        max_emitters: limit; None for all frames in one group.
    """
    if max_emitters is None:
        return end
    held = torch.bincount(frame, minlength=end)[begin:end].cumsum(0)
    return begin + max(1, int((held <= max_emitters).sum()))


def localize_frames(
    model: SequenceModel, numbers: Array, y: Tensor, light: Illumination, quality: Quality
) -> Localizations:
    """Localise the emitters of frames that are in no buffer.

    Args:
        model: model of the field.
        numbers: (T,) of the frames, T >= 1.
        y: (T, H, W) photons.
        light: illumination of the same frames.
        quality: sets the iterations.
    """
    block = FrameBlock(numbers, y, y.new_zeros(0), np.zeros(0))
    found = localize_block(model, block, light, "fused", quality, NO_CALLBACKS).found
    return no_localizations(y) if found is None else found


def no_localizations(like: Tensor) -> Localizations:
    """Return an empty table on the device of a tensor."""
    none = like.new_zeros(0)
    return Localizations(none.long(), none, none, none, none.view(0, 2), none, none, none)


def block_without_emitters(
    model: SequenceModel, block: FrameBlock, light: Illumination, wanted: Estimate, callbacks: ProgressCallbacks
) -> FrameBlock:
    """Return a block in which no emitters were found, without a search.

    The arguments are those of `localize_block`.
    """
    callbacks.advance(len(block))
    found = no_localizations(light.emitters) if wanted == "fused" else None
    return replace(
        block,
        total=torch.zeros_like(light.emitters),
        background=light.background.mean(0),
        found=found,
        prior_frames=model.state.history.frames,
    )


def _numbered(found: Localizations, numbers: Array) -> Localizations:
    """Return localisations with the stream's numbers for their frames."""
    return replace(found, frame=torch.as_tensor(numbers, device=found.frame.device)[found.frame])


def localizations_of(blocks: Iterable[FrameBlock]) -> Localizations | None:
    """Return all localisations in the order of their frames.

    Returns None where none were wanted.
    """
    tables = [block.found for block in blocks if block.found is not None]
    return joined(tables) if tables else None
