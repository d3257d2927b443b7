"""The paper's model on a stream: fine-tuned on each window, its weights and optimiser carried to the next."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch

from selfstorm.baselines.self_storm_2024 import PaperModel, PaperSettings, normalise, optimiser_of, picture, train
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model import Settings
from selfstorm.stream.per_frame import ProgressCallbacks

EPOCHS_A_WINDOW = 1  # measured on the public stack: more of them make its picture worse


class SelfStormStream:
    """The published autoencoder (selfstorm.baselines.self_storm_2024) on one stream.

    windows: how many it was trained on.
    """

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.settings = settings
        self.network = PaperModel(PaperSettings(scale=settings.scale)).to(device)
        self.optimiser = optimiser_of(self.network)
        self.windows, self.last_number = 0, -1
        self._film: tuple[tuple[Array, Array], ...] = ()

    def copy(self) -> SelfStormStream:
        """A model that learns on from here without a trace in this one."""
        film, self._film = self._film, ()
        other = deepcopy(self)
        self._film = other._film = film
        return other

    def start_stream(self) -> None:
        """Frames of another stream of the same field follow."""
        self._film, self.last_number = (), -1

    def ingest(self, raw: Array, place: WindowSpan) -> None:
        """Keep new frames, (T, H, W) in any unit."""
        if raw.ndim != 3 or 0 in raw.shape:
            raise InputError(f"frames of shape {raw.shape} where (T, H, W) belongs")
        self._film += ((place.numbers, raw),)
        self.last_number = int(place.numbers[-1])

    def picture(self, place: WindowSpan, callbacks: ProgressCallbacks) -> Reconstruction:
        """Fine-tune on the window of frames from place.first on, and super-resolve it.

        The misfit is the loss of the last epoch over the mean of what was to be decoded.
        """
        self._film = tuple((numbers, raw) for numbers, raw in self._film if numbers[-1] >= place.first)
        raw = np.concatenate([raw[numbers >= place.first] for numbers, raw in self._film])
        stack = normalise(raw)
        steps = EPOCHS_A_WINDOW * -(-len(stack) // self.network.settings.batch)
        losses = train(self.network, stack, steps, optimiser=self.optimiser)
        sr = picture(self.network, stack)
        if not np.isfinite(sr).all():
            raise FloatingPointError("the paper's model came to a picture that is not finite")
        self.windows += 1
        callbacks.mark("network")
        callbacks.advance(len(raw))
        return Reconstruction(
            picture=np.ascontiguousarray(sr, np.float32),
            raw_mean=raw.mean(0, dtype=np.float64).astype(np.float32),
            scale=self.settings.scale,
            estimate="ridges",
            frames=len(raw),
            looked_at=len(raw),
            state="warm" if self.windows > 1 else "cold",
            layers=self.network.settings.picture_iterations,
            optics="none: the paper's model learns its own kernels",
            camera="none: the paper's model normalises every emitter",
            metrics={"misfit": float(np.mean(losses)) / max(float(stack.mean()), 1e-12)},
            notes=("the paper's model draws ridges: brightness in its picture means nothing",),
        )
