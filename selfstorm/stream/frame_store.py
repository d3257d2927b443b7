"""What is kept of the frames that a window may still ask for, and of what was made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.localizations import Localizations

FEW_FRAMES, MANY_MORE = 60, 1.5


@dataclass(frozen=True)
class WindowSpan:
    """Where a window lies in its stream, or some frames of it.

    numbers: (T,) int64, rising: those of the frames that are there. first: the number the window starts with, whether
    that frame came or not. stride: from one window's start to the next.
    """

    numbers: Array
    first: int
    stride: int


@dataclass(frozen=True, eq=False)
class FrameBlock:
    """Some consecutive frames, as they were seen when they came.

    numbers: (T,) of the frames. y: (T, H, W) photons. smooth: (T, knots, knots), the smooth light of each at equal
    brightness (selfstorm.stages.out_of_focus). raw_sum: (H, W) float64 ADU. total: (rows, columns) photons of their
    emitter maps added up, and found: localisations with the stream's frame numbers; None until somebody looked for
    them. prior_frames: how many frames the density said where to look by.
    """

    numbers: Array
    y: Tensor
    smooth: Tensor
    raw_sum: Array
    total: Tensor | None = None
    found: Localizations | None = None
    prior_frames: int = 0

    def __len__(self) -> int:
        return len(self.numbers)


FrameBuffer = tuple[FrameBlock, ...]


def strips(place: WindowSpan, y: Tensor, smooth: Tensor, raw: Array) -> FrameBuffer:
    """New frames, all of a place, in strips that no window of their stream cuts."""
    edges = np.flatnonzero(np.diff((place.numbers - place.first) // place.stride)) + 1
    runs = (slice(int(run[0]), int(run[-1]) + 1) for run in np.split(np.arange(len(place.numbers)), edges))
    return tuple(FrameBlock(place.numbers[r], y[r], smooth[r], raw[r].sum(0, dtype=np.float64)) for r in runs)


def since(film: Iterable[FrameBlock], first: int) -> FrameBuffer:
    """The strips from frame number `first` on."""
    return tuple(strip for strip in film if strip.numbers[0] >= first)


def tail(film: Sequence[FrameBlock], frames: int) -> FrameBuffer:
    """As many of the last strips as hold so many frames, or all there are."""
    held = 0
    for count, strip in enumerate(reversed(film), 1):
        held += len(strip)
        if held >= frames:
            return tuple(film[-count:])
    return tuple(film)


def numbers_of(film: Sequence[FrameBlock]) -> Array:
    """(T,) numbers of all frames."""
    return np.concatenate([strip.numbers for strip in film]) if film else np.zeros(0, np.int64)


def spans(film: Sequence[FrameBlock]) -> Iterator[tuple[FrameBlock, slice]]:
    """Every strip, and which of all the frames are its own."""
    first = 0
    for strip in film:
        yield strip, slice(first, first + len(strip))
        first += len(strip)


def to_look_at(strip: FrameBlock, localized: bool, remembered: int) -> bool:
    """Whether the emitters of a strip are still to be looked for: to be localised, or added up.

    Again, where the density knew of few frames and now knows of many more. remembered: frames that it knows of.
    """
    if (strip.found if localized else strip.total) is None:
        return True
    return strip.prior_frames < FEW_FRAMES and remembered >= MANY_MORE * strip.prior_frames


def unseen(film: Sequence[FrameBlock], first: int, localized: bool, remembered: int) -> int:
    """How many frames from that number on are still to be looked at."""
    return sum(len(strip) for strip in since(film, first) if to_look_at(strip, localized, remembered))
