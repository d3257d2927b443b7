"""The models a stream can be given to, and their one way of making a picture: what offline and live both call."""

from __future__ import annotations

from collections.abc import Callable

import torch

from selfstorm.frame_by_frame import Place
from selfstorm.frames import Array
from selfstorm.model import Estimate, SequenceModel, Settings
from selfstorm.paper_sequence import PaperSequence, reconstruct_as_published
from selfstorm.reconstruct import reconstruct
from selfstorm.reconstruction import Reconstruction

Model = SequenceModel | PaperSequence


def new_model(settings: Settings, first_window: Array, device: torch.device) -> Model:
    """The model of a stream that starts with first_window, (T, H, W) ADU."""
    if settings.model == "paper":
        return PaperSequence(settings, device)
    return SequenceModel.learned_from(settings, first_window, device)


def picture_of(
    model: Model,
    raw: Array,
    place: Place,
    advance: Callable[[int], None] = lambda frames: None,
    estimate: Estimate | None = None,
) -> Reconstruction:
    """Fine-tune the model on one window and super-resolve it.

    raw: (T, H, W) ADU. place: where it lies in its stream. advance: told of frames done.
    estimate: less than the settings ask for, to save time.
    """
    if isinstance(model, PaperSequence):
        return reconstruct_as_published(model, raw, advance)
    return reconstruct(model, raw, place, advance, estimate)
