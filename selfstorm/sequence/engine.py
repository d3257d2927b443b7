"""The models a stream can be given to, and their one way of making a picture: what offline and live both call."""

from __future__ import annotations

from collections.abc import Callable

import torch

from selfstorm.frame_by_frame import Watchers
from selfstorm.frames import Array
from selfstorm.model import SequenceModel, Settings
from selfstorm.reconstruct import NOBODY, picture_of_window
from selfstorm.reconstruction import Reconstruction
from selfstorm.sequence import watch as ours
from selfstorm.sequence.effort import Effort
from selfstorm.sequence.film import Place
from selfstorm.sequence.paper_sequence import PaperSequence

Model = SequenceModel | PaperSequence


def new_model(settings: Settings, first_window: Array, device: torch.device) -> Model:
    """The model of a stream that starts with first_window, (T, H, W) ADU."""
    if settings.model == "paper":
        return PaperSequence(settings, device)
    return SequenceModel.learned_from(settings, first_window, device)


def watch(model: Model, raw: Array, place: Place) -> None:
    """Take in new frames, each once and in order.

    raw: (T, H, W) ADU. place: their numbers, and the window they are taken in for.
    """
    if isinstance(model, PaperSequence):
        model.watch(raw, place)
    else:
        ours.watch(model, raw, place)


def picture_of(
    model: Model,
    place: Place,
    effort: Effort | None = None,
    told: Watchers = NOBODY,
    preview: Callable[[Reconstruction], None] | None = None,
) -> Reconstruction:
    """Fine-tune the model on a window of watched frames and super-resolve it.

    place: where the window lies in its stream. effort: less than the settings ask for, to save time. told: of progress.
    preview: handed the density as soon as there is one.
    """
    if isinstance(model, PaperSequence):
        return model.picture(place, told)
    return picture_of_window(model, place, effort, told, preview)
