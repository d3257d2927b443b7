"""The models a stream can be given to, and their one way of making a picture: what offline and live both call."""

from __future__ import annotations

from collections.abc import Callable

import torch

from selfstorm.baselines.self_storm_stream import SelfStormStream
from selfstorm.frames import Array
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream import ingest as ours
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model import SequenceModel, Settings
from selfstorm.stream.per_frame import ProgressCallbacks
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.reconstruct import NOBODY, picture_of_window

Model = SequenceModel | SelfStormStream


def new_model(settings: Settings, first_window: Array, device: torch.device) -> Model:
    """The model of a stream that starts with first_window, (T, H, W) ADU."""
    if settings.model == "paper":
        return SelfStormStream(settings, device)
    return SequenceModel.learned_from(settings, first_window, device)


def ingest(model: Model, raw: Array, place: WindowSpan) -> None:
    """Take in new frames, each once and in order.

    raw: (T, H, W) ADU. place: their numbers, and the window they are taken in for.
    """
    if isinstance(model, SelfStormStream):
        model.ingest(raw, place)
    else:
        ours.ingest(model, raw, place)


def picture_of(
    model: Model,
    place: WindowSpan,
    effort: ProcessingLevel | None = None,
    callbacks: ProgressCallbacks = NOBODY,
    preview: Callable[[Reconstruction], None] | None = None,
) -> Reconstruction:
    """Fine-tune the model on a window of watched frames and super-resolve it.

    place: where the window lies in its stream. effort: less than the settings ask for, to save time. told: of progress.
    preview: handed the density as soon as there is one.
    """
    if isinstance(model, SelfStormStream):
        return model.picture(place, callbacks)
    return picture_of_window(model, place, effort, callbacks, preview)
