"""Stages B and C, a few frames at a time: emitter maps added up, and localisations read off them.

A frame is looked at once. What its window made of it is kept in the model and serves the next windows too, so a stride
costs its own frames and not the window's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.emitters import QUALITY, batches, emitter_maps
from selfstorm.frames import Array
from selfstorm.localize import EFFORT, Localizations, candidates, joined, localize
from selfstorm.model import Part, SequenceModel
from selfstorm.spot_model import Emitters

LEAST_PHOTONS = 1e-3
FITTED_TOGETHER = 1500  # emitters: 600 to 3000 are about as fast, and their memory is bounded


@dataclass(frozen=True)
class Place:
    """Where a window lies in its stream.

    numbers: (T,) int64, rising: those of the frames that are there. first: the number the window starts with, whether
    that frame came or not. stride: from one window's start to the next.
    """

    numbers: Array
    first: int
    stride: int


@dataclass(frozen=True)
class Light:
    """What stage A and the mean frame say of the light.

    emitters: (rows, columns) photons a cell of the padded grid gives in a mean frame, > 0.
    background: (T, H, W) photons. gains: (T, 1, 1) brightness of each frame, mean 1.
    """

    emitters: Tensor
    background: Tensor
    gains: Tensor


def parts_of_window(
    model: SequenceModel,
    y: Tensor,
    light: Light,
    place: Place,
    localizing: bool,
    advance: Callable[[int], None],
) -> list[Part]:
    """Every frame of the window in one part of it: those the model has kept, and new ones for the other frames.

    y: (T, H, W) photons. localizing: whether new parts get localisations. advance: told of every few frames done.
    """
    numbers = place.numbers
    kept = [part for part in model.parts if np.isin(part.numbers, numbers).all()]
    known = np.isin(numbers, np.concatenate([part.numbers for part in kept])) if kept else np.zeros(len(numbers), bool)
    advance(int(known.sum()))
    new = [_look(model, y, light, numbers, run, localizing, advance) for run in _runs(place, ~known)]
    return sorted(kept + new, key=lambda part: int(part.numbers[0]))


def _runs(place: Place, wanted: Array) -> Iterator[slice]:
    """The wanted frames in runs that no later window cuts."""
    strides = (place.numbers - place.first) // place.stride
    edges = np.flatnonzero(np.diff(strides) | (np.diff(wanted.astype(int)) != 0)) + 1
    for run in np.split(np.arange(len(wanted)), edges):
        if wanted[run[0]]:
            yield slice(int(run[0]), int(run[-1]) + 1)


def _look(
    model: SequenceModel,
    y: Tensor,
    light: Light,
    numbers: Array,
    run: slice,
    localizing: bool,
    advance: Callable[[int], None],
) -> Part:
    quality, imaging, grid = model.settings.quality, model.imaging, model.grid
    prior = light.emitters / grid.crop(light.emitters).mean().clamp(min=1e-12)
    gains, background = light.gains[run], light.background[run]
    y, numbers, start = y[run].clamp(min=0) + LEAST_PHOTONS, numbers[run], light.emitters.mean() * gains
    total, first = torch.zeros_like(prior), 0
    found: list[Localizations] = []
    waiting: list[Emitters] = []
    for part in batches(len(y), prior):
        maps = emitter_maps(imaging, y[part], prior, start[part], background[part], QUALITY[quality])
        total += maps.sum(0)
        end = part.start + len(maps)
        if localizing:
            emitters = candidates(maps, grid)
            waiting.append(emitters._replace(frame=emitters.frame + (part.start - first)))
            if sum(len(some.frame) for some in waiting) < FITTED_TOGETHER and end < len(y):
                continue
            begin = Emitters(*(torch.cat(values) for values in zip(*waiting, strict=True)))
            group = slice(first, end)
            fit = localize(y[group], begin, background[group], prior, model.psf, grid, EFFORT[quality])
            found.append(_numbered(fit, numbers[group]))
            waiting = []
        advance(end - first)
        first = end
    return Part(numbers, total, joined(found) if found else None)


def _numbered(found: Localizations, numbers: Array) -> Localizations:
    """Localisations with the stream's numbers for their frames."""
    return replace(found, frame=torch.as_tensor(numbers, device=found.frame.device)[found.frame])


def localizations_of(parts: Iterable[Part]) -> Localizations | None:
    """All of them in the order of their frames, None where none were wanted."""
    tables = [part.found for part in parts if part.found is not None]
    return joined(tables) if tables else None
