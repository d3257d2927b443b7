"""Stages B and C per frame: emitter maps, and localizations from them.

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

from selfstorm.compute.batching import free_bytes, retry_on_oom
from selfstorm.frames import Array
from selfstorm.localizations import Localizations, joined
from selfstorm.psf.emitters import Emitters
from selfstorm.stream.frame_store import FrameBlock, needs_emitters
from selfstorm.stream.memory_plan import plan
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.processing_level import Estimate, Quality
from selfstorm.stream.searched_frames import Illumination, SearchedFrames


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
        wanted: 'emitters' for emitter maps, 'fused' for localizations too.
        quality: sets the iterations.
        callbacks: callbacks of progress.

    Returns:
        The block with its emitters. Limits are halved where memory was short: no batch is made twice.
    """
    localizing, prior_frames = wanted == "fused", model.state.history.frames
    if not needs_emitters(block, localizing, prior_frames):
        callbacks.advance(len(block))
        return block
    frames, compute, operators = SearchedFrames.of(model, block, light, quality), model.compute, model.operators
    free = free_bytes(compute.device)
    compute.planned = plan(operators.imaging, operators.covariance, len(block), compute.limits, free).limits

    def halve(error: Exception) -> bool:
        return compute.halve_limits()

    total, first, end = torch.zeros_like(frames.prior), 0, 0
    found: list[Localizations] = []
    waiting: list[Emitters] = []
    while end < len(block):
        begin = end
        end, batch_total, emitters = retry_on_oom(partial(frames.maps_from, begin, localizing=localizing), halve)
        total += batch_total
        if emitters is not None:
            callbacks.mark("emitters")
            waiting.append(emitters._replace(frame=emitters.frame + (begin - first)))
            if sum(len(some.frame) for some in waiting) < compute.planned.emitters and end < len(block):
                continue
            together, done = Emitters(*(torch.cat(values) for values in zip(*waiting, strict=True))), first
            while done < end:
                done, fit = retry_on_oom(partial(frames.fitted_from, done, end, together, first), halve)
                found.append(fit)
            waiting = []
        callbacks.mark("localizations" if localizing else "emitters")
        callbacks.advance(end - first)
        first = end
    return replace(
        block,
        total=total,
        background=light.background.mean(0),
        found=joined(found) if found else None,
        prior_frames=prior_frames,
    )


def localize_frames(
    model: SequenceModel, numbers: Array, y: Tensor, light: Illumination, quality: Quality
) -> Localizations:
    """Localize the emitters of frames that are in no buffer.

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


def localizations_of(blocks: Iterable[FrameBlock]) -> Localizations | None:
    """Return all localizations in the order of their frames.

    Returns None where none were wanted.
    """
    tables = [block.found for block in blocks if block.found is not None]
    return joined(tables) if tables else None
