"""The frames of one window together: how bright each is, and what they show on the mean."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.stream.brightness import frame_gains
from selfstorm.stream.frame_store import FrameBuffer, WindowSpan, numbers_of, since, spans
from selfstorm.stream.model import SequenceModel

LEAST_FRAMES = 8


class TooFewFramesError(ValueError):
    """Of a window too few frames can be used to make a picture; says why."""


@dataclass(frozen=True, eq=False)
class WindowFrames:
    """What the film holds of a window.

    first: the number the window starts with. numbers: (T,) of its frames. gains: (T, 1, 1) relative brightness, mean 1.
    seen: (H, W) photons, their mean; mean: the same at equal brightness. smooth: (T, knots, knots), by what each
    frame's smooth light differs from the mean's. left_out: why some of its frames are not among them, a reason each.
    """

    film: FrameBuffer
    first: int
    numbers: Array
    gains: Tensor
    seen: Tensor
    mean: Tensor
    smooth: Tensor
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, model: SequenceModel, place: WindowSpan) -> WindowFrames:
        """The window that starts at place.first, of all frames that the model has watched since."""
        film = since(model.film, place.first)
        left_out = tuple(why for number, why in model.left_out if number >= place.first)
        frames = sum(map(len, film))
        if frames < LEAST_FRAMES:
            raise TooFewFramesError(f"{frames} frames can be used, at least {LEAST_FRAMES} are needed{_why(left_out)}")
        gains = frame_gains(*(strip.y for strip in film))
        weights = torch.stack([torch.ones_like(gains), 1 / gains]).flatten(1)
        sums = [weights[:, part] @ strip.y.flatten(1) for strip, part in spans(film)]
        seen, mean = (torch.stack(sums).sum(0) / frames).view(2, *film[0].y.shape[1:])
        smooth = torch.cat([strip.smooth for strip in film])
        return cls(film, place.first, numbers_of(film), gains, seen, mean, smooth - smooth.mean(0), left_out)

    def __len__(self) -> int:
        return len(self.numbers)

    def newest(self, most: int) -> Tensor:
        """(T, H, W) photons at equal brightness of the last frames, at most so many."""
        return torch.cat([strip.y / self.gains[part] for strip, part in spans(self.film)])[-most:]

    @property
    def raw_mean(self) -> Array:
        """(H, W) float32 ADU."""
        return np.asarray(sum(strip.raw_sum for strip in self.film) / len(self), np.float32)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell of the frames that are not among them."""
        return tuple(f"{n} frame{'s' * (n > 1)} left out: {why}" for why, n in Counter(self.left_out).items())


def _why(left_out: tuple[str, ...]) -> str:
    return "".join(f"; {n} are {why}" for why, n in Counter(left_out).items())
