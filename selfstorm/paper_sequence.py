"""The paper's model on a stream: fine-tuned on each window, its weights and optimiser carried to the next."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.model import Settings
from selfstorm.paper import PaperModel, PaperSettings, normalise, optimiser_of, picture, train
from selfstorm.reconstruction import Reconstruction

EPOCHS_A_WINDOW = 1  # measured on the public stack: more of them make its picture worse


class PaperSequence:
    """The published autoencoder (selfstorm.paper) of one stream; windows: how many it was trained on."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.settings = settings
        self.network = PaperModel(PaperSettings(scale=settings.scale)).to(device)
        self.optimiser = optimiser_of(self.network)
        self.windows = 0


def reconstruct_as_published(model: PaperSequence, raw: Array, advance: Callable[[int], None]) -> Reconstruction:
    """Fine-tune on one window and super-resolve it. raw: (T, H, W) in any unit. advance: told of frames done.

    The misfit is the loss of the last epoch over the mean of what was to be decoded.
    """
    if raw.ndim != 3 or 0 in raw.shape:
        raise InputError(f"a window of shape {raw.shape} where (T, H, W) belongs")
    stack = normalise(raw)
    steps = EPOCHS_A_WINDOW * -(-len(stack) // model.network.settings.batch)
    losses = train(model.network, stack, steps, optimiser=model.optimiser)
    sr = picture(model.network, stack)
    if not np.isfinite(sr).all():
        raise FloatingPointError("the paper's model came to a picture that is not finite")
    trained_before = model.windows > 0
    model.windows += 1
    advance(len(raw))
    return Reconstruction(
        picture=np.ascontiguousarray(sr, np.float32),
        raw_mean=raw.mean(0, dtype=np.float64).astype(np.float32),
        scale=model.settings.scale,
        estimate="ridges",
        frames=len(raw),
        new_frames=len(raw),
        state="warm" if trained_before else "cold",
        layers=model.network.settings.picture_iterations,
        optics="none: the paper's model learns its own kernels",
        camera="none: the paper's model normalises every emitter",
        misfit=float(np.mean(losses)) / max(float(stack.mean()), 1e-12),
        notes=("the paper's model draws ridges: brightness in its picture means nothing",),
    )
