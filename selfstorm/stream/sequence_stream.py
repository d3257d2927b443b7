"""Base of our models of a stream: a value that each step replaces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Generic, Self, TypeVar

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.per_frame import NO_CALLBACKS, ProgressCallbacks
from selfstorm.stream.settings import Settings
from selfstorm.stream.tiled.sequence import TiledSequence

Learned = TypeVar("Learned", SequenceModel, TiledSequence)


class SequenceStream(Generic[Learned]):
    """Base of our models of a stream.

    Each step replaces `learned`, a value that is never changed, so a copy costs nothing.
    """

    def __init__(self, learned: Learned) -> None:
        self.learned: Learned = learned

    @property
    def settings(self) -> Settings:
        """Settings of the stream."""
        return self.learned.settings

    @property
    def compute(self) -> Compute:
        """Where the model is computed."""
        return self.learned.compute

    @property
    def last_number(self) -> int:
        """Number of the last frame ingested from this stream, -1 before the first."""
        return self.learned.state.last_number

    @property
    def frames_learned(self) -> int:
        """Number of frames that the optics were learned from."""
        return self.learned.state.psf_learning.frames

    def copy(self) -> Self:
        """Return a model that learns on from here and leaves this one as it is."""
        return type(self)(self.learned)

    def with_settings(self, settings: Settings) -> Self:
        """Return a copy with settings that differ in the output only."""
        return type(self)(replace(self.learned, settings=settings))

    def start_stream(self) -> None:
        """Go on with another stream of the same field."""
        self.learned = replace(self.learned, state=self.learned.state.for_next_stream())

    def accumulate(self, callbacks: ProgressCallbacks = NO_CALLBACKS) -> Accumulation | None:
        """Accumulate nothing."""
        return None

    def leave_out(self, numbers: Iterable[int], reason: str) -> None:
        """Leave frames out of all windows to come."""
        self.learned = replace(self.learned, state=self.learned.state.without(numbers, reason))

    def check_field(self, raw: Array) -> None:
        """Raise InputError for frames, (T, H, W), of another field."""
        grid = self.learned.grid
        if raw.ndim != 3 or raw.shape[1:] != (grid.height, grid.width):
            raise InputError(f"frames of shape {raw.shape} where (T, {grid.height}, {grid.width}) belongs")
