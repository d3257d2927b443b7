"""The published model on a stream: fine-tuned on each window.

Weights and optimiser are carried from one window to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy, deepcopy
from pathlib import Path

import numpy as np

from selfstorm.baselines.self_storm_2024 import PaperModel, PaperSettings, normalise, optimiser_of, picture, train
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.reconstruction import NO_UNIT, Reconstruction
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_protocol import WindowCost
from selfstorm.stream.per_frame import NO_CALLBACKS, ProgressCallbacks
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.settings import Settings

EPOCHS_A_WINDOW = 1  # measured on the public stack: more of them make its picture worse
NOT_SAVED = "the published model is not saved"


class SelfStormStream:
    """The published autoencoder on one stream (implements StreamModel).

    See selfstorm.baselines.self_storm_2024.

    Attributes:
        windows: number of windows that it was trained on.
    """

    def __init__(self, settings: Settings, compute: Compute) -> None:
        self.settings, self.compute = settings, compute
        self.network = PaperModel(PaperSettings(scale=settings.scale)).to(compute.device)
        self.optimiser = optimiser_of(self.network)
        self.windows, self.last_number = 0, -1
        self._buffer: tuple[tuple[Array, Array], ...] = ()

    @classmethod
    def learned_from(cls, settings: Settings, first_window: Array, compute: Compute) -> SelfStormStream:
        """Make the model of a stream.

        Its weights are random until the first window is trained on.
        """
        return cls(settings, compute)

    @classmethod
    def load(cls, path: Path, settings: Settings, field: tuple[int, int], compute: Compute) -> SelfStormStream:
        """Refuse: the published model is not saved."""
        raise InputError(NOT_SAVED, where=path, hint="start without it, or use model 'unrolled'")

    @property
    def frames_learned(self) -> int:
        """Number of frames that it was trained on; not counted."""
        return 0

    def copy(self) -> SelfStormStream:
        """Return a model that learns on from here and leaves this one as it is."""
        other = copy(self)
        other.network, other.optimiser = deepcopy((self.network, self.optimiser))  # the optimiser knows the weights
        return other

    def with_settings(self, settings: Settings) -> SelfStormStream:
        """Return a copy with settings that differ in the output only."""
        other = self.copy()
        other.settings = settings
        return other

    def start_stream(self) -> None:
        """Go on with another stream of the same field."""
        self._buffer, self.last_number = (), -1

    def leave_out(self, numbers: Iterable[int], reason: str) -> None:
        """Do nothing: rolled-back windows leave no frames in the buffer."""

    def ingest(self, raw: Array, span: WindowSpan) -> None:
        """Keep new frames, (T, H, W) in any unit."""
        if raw.ndim != 3 or 0 in raw.shape:
            raise InputError(f"frames of shape {raw.shape}", hint="give (T, H, W)")
        self._buffer += ((span.numbers, raw),)
        self.last_number = int(span.numbers[-1])

    def cost(self, first: int) -> WindowCost:
        """Return no cost: there are no levels to choose from."""
        return WindowCost()

    def iteration_s(self) -> float:
        """Return one second: there are no levels to choose from."""
        return 1.0

    def memory_shortage(self, frames: int) -> str:
        """Return nothing: its memory is not planned."""
        return ""

    def accumulate(self, callbacks: ProgressCallbacks = NO_CALLBACKS) -> Accumulation | None:
        """Accumulate nothing: there are no localizations."""
        return None

    def fingerprint(self) -> str:
        """Return no name: weights are not hashed."""
        return ""

    def save(self, path: Path, source: str, *, overwrite: bool = False) -> None:
        """Refuse: the published model is not saved."""
        raise InputError(NOT_SAVED, where=path, hint="use model 'unrolled'")

    def picture(
        self,
        span: WindowSpan,
        level: ProcessingLevel | None = None,
        callbacks: ProgressCallbacks = NO_CALLBACKS,
        preview: Callable[[Reconstruction], None] | None = None,
    ) -> Reconstruction:
        """Fine-tune on the frames from span.first on, and super-resolve them.

        The misfit is the loss of the last epoch over the mean of the target.

        Args:
            span: frames of the window.
            level: ignored, there is only one.
            callbacks: for progress and timing.
            preview: ignored, there is none.
        """
        self._buffer = tuple((numbers, raw) for numbers, raw in self._buffer if numbers[-1] >= span.first)
        raw = np.concatenate([raw[numbers >= span.first] for numbers, raw in self._buffer])
        stack = normalise(raw)
        steps = EPOCHS_A_WINDOW * -(-len(stack) // self.network.settings.batch)
        losses = train(self.network, stack, steps, optimiser=self.optimiser)
        sr = picture(self.network, stack)
        if not np.isfinite(sr).all():
            raise FloatingPointError("the picture of the published model is not finite")
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
            iterations=self.network.settings.picture_iterations,
            optics="none: the paper's model learns its own kernels",
            camera="none: the paper's model normalises every emitter",
            metrics={"misfit": float(np.mean(losses)) / max(float(stack.mean()), 1e-12)},
            unit=NO_UNIT,
            notes=("the paper's model draws ridges: brightness in its picture means nothing",),
        )
