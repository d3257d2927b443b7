"""A third kind of model, as small as the protocol allows: the mean of each window's frames, enlarged."""

from typing import ClassVar

import numpy as np

from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.model_protocol import WindowCost
from selfstorm.stream.per_frame import NO_CALLBACKS


class MeanStream:
    """The mean of a window's frames.

    Attributes:
        misfits: misfit of each window to come, so that a test can spoil one; 0 without.
    """

    misfits: ClassVar[list[float]] = []

    def __init__(self, settings, compute):
        self.settings, self.compute = settings, compute
        self.last_number, self.frames_learned, self.windows = -1, 0, 0
        self.frames, self.left_out = {}, []

    @classmethod
    def learned_from(cls, settings, first_window, compute):
        return cls(settings, compute)

    def copy(self):
        other = MeanStream(self.settings, self.compute)
        other.__dict__ |= self.__dict__ | {"frames": dict(self.frames), "left_out": list(self.left_out)}
        return other

    def start_stream(self):
        self.last_number, self.frames = -1, {}

    def leave_out(self, numbers, reason):
        self.left_out += numbers

    def ingest(self, raw, span):
        assert span.numbers[0] > self.last_number  # every frame once and in order
        self.frames |= dict(zip(span.numbers.tolist(), raw, strict=True))
        self.last_number = int(span.numbers[-1])
        self.frames_learned += len(raw)

    def accumulate(self, callbacks=NO_CALLBACKS):
        return None

    def picture(self, span, level=None, callbacks=None, preview=None):
        frames = [frame for number, frame in self.frames.items() if number >= span.first]
        mean = np.mean(frames, 0, dtype=np.float64).astype(np.float32)
        self.windows += 1
        return Reconstruction(
            picture=np.kron(mean, np.ones((self.settings.scale,) * 2, np.float32)),
            raw_mean=mean,
            scale=self.settings.scale,
            estimate="mean",
            frames=len(frames),
            looked_at=0,
            state="warm" if self.windows > 1 else "cold",
            iterations=0,
            optics="none",
            camera="none",
            metrics={"misfit": MeanStream.misfits.pop(0) if MeanStream.misfits else 0.0},
            notes=(f"{len(self.left_out)} left out",),
        )

    def cost(self, first):
        return WindowCost()

    def iteration_s(self):
        return 1.0

    def memory_shortage(self, frames):
        return ""

    def fingerprint(self):
        return ""
