"""Stages B and C, a few frames at a time: emitter maps added up, and localisations read off them.

A frame is looked at once. What its window made of it is kept with the frame and serves the next windows too, so a
stride costs its own frames and not the window's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from selfstorm.compute.batching import BatchLimits, frames_together, free_bytes, retry_on_oom
from selfstorm.frames import Array
from selfstorm.localizations import Localizations, joined
from selfstorm.psf.rendering import Emitters
from selfstorm.stages.candidates import candidates
from selfstorm.stages.emitters import QUALITY, emitter_maps
from selfstorm.stages.localization import EFFORT, localize
from selfstorm.stream.frame_store import FrameBlock, to_look_at
from selfstorm.stream.memory_plan import plan
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.processing_level import Estimate, Quality

LEAST_PHOTONS = 1e-3


@dataclass(frozen=True)
class Illumination:
    """What stage A and the mean frame say of the light of some frames.

    emitters: (rows, columns) photons a cell of the padded grid gives in a mean frame, > 0.
    background: (T, H, W) photons. gains: (T, 1, 1) brightness of each frame.
    """

    emitters: Tensor
    background: Tensor
    gains: Tensor


@dataclass(frozen=True)
class ProgressCallbacks:
    """Who is told of progress. advance: of every few frames done. mark: of every step done, by its name."""

    advance: Callable[[int], None] = lambda frames: None
    mark: Callable[[str], None] = lambda step: None


def localize_block(
    model: SequenceModel,
    strip: FrameBlock,
    light: Illumination,
    wanted: Estimate,
    quality: Quality,
    callbacks: ProgressCallbacks,
) -> FrameBlock:
    """The strip with the emitters of its frames that an estimate wants, unless they were looked for before."""
    localizing, remembered = wanted == "fused", model.memory.frames
    if not to_look_at(strip, localizing, remembered):
        callbacks.advance(len(strip))
        return strip
    grid = model.grid
    prior = light.emitters / grid.crop(light.emitters).mean().clamp(min=1e-12)
    y, start = strip.y.clamp(min=0) + LEAST_PHOTONS, light.emitters.mean() * light.gains
    planned = plan(model.imaging, model.covariance, len(y), model.limits, free_bytes(model.device)).limits
    limits = planned

    def network(y: Tensor, prior: Tensor, start: Tensor, background: Tensor) -> Tensor:
        return emitter_maps(model.imaging, y, prior, start, background, QUALITY[quality])

    def maps_from(begin: int, limits: BatchLimits) -> tuple[int, Tensor, Emitters | None]:
        """Of the frames that are made together: the first that is not, their maps' sum, where emitters may be."""
        part = slice(begin, begin + frames_together(prior.numel(), limits.map_bytes))
        maps = model.graphs.run(("emitters", quality), network, y[part], prior, start[part], light.background[part])
        return begin + len(maps), maps.sum(0), candidates(maps, grid) if localizing else None

    def fitted(group: slice, begin: Emitters) -> list[Localizations]:
        fit = localize(y[group], begin, light.background[group], prior, model.psf, grid, EFFORT[quality])
        return [_numbered(fit, strip.numbers[group])]

    total, first, end = torch.zeros_like(prior), 0, 0
    found: list[Localizations] = []
    waiting: list[Emitters] = []
    while end < len(y):
        begin = end
        (end, light_of_part, emitters), limits = retry_on_oom(partial(maps_from, begin), limits)
        if limits != planned:
            model.limits = limits  # from now on, not for these frames alone
        total += light_of_part
        if emitters is not None:
            callbacks.mark("emitters")
            waiting.append(emitters._replace(frame=emitters.frame + (begin - first)))
            if sum(len(some.frame) for some in waiting) < limits.emitters and end < len(y):
                continue
            found += fitted(slice(first, end), Emitters(*(torch.cat(values) for values in zip(*waiting, strict=True))))
            waiting = []
        callbacks.mark("localisations" if localizing else "emitters")
        callbacks.advance(end - first)
        first = end
    return replace(strip, total=total, found=joined(found) if found else None, prior_frames=remembered)


def _numbered(found: Localizations, numbers: Array) -> Localizations:
    """Localisations with the stream's numbers for their frames."""
    return replace(found, frame=torch.as_tensor(numbers, device=found.frame.device)[found.frame])


def localizations_of(film: Iterable[FrameBlock]) -> Localizations | None:
    """All of them in the order of their frames, None where none were wanted."""
    tables = [strip.found for strip in film if strip.found is not None]
    return joined(tables) if tables else None
