"""Protocol of a stream's model, as the engine uses it.

Every model kind implements it, offline and live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from selfstorm.frames import Array
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.per_frame import NO_CALLBACKS, ProgressCallbacks
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.settings import Settings


@dataclass(frozen=True, slots=True)
class WindowCost:
    """Work that a window still takes.

    Attributes:
        pending_frames: frames of the window whose emitters are still to be found.
        iterations: iterations of stage A.
        psf_update_due: a fit or fine-tuning of the PSF is due.
        claims_due: a check of what is claimed of pictures is due.
    """

    pending_frames: int = 0
    iterations: int = 1
    psf_update_due: bool = False
    claims_due: bool = False


class StreamModel(Protocol):
    """A model that learns from one stream and super-resolves its windows."""

    @classmethod
    def learned_from(cls, settings: Settings, first_window: Array, compute: Compute) -> Self:
        """Make the model of a stream that begins with first_window, (T, H, W) ADU."""
        ...

    @classmethod
    def load(cls, path: Path, settings: Settings, field: tuple[int, int], compute: Compute) -> Self:
        """Load a saved model for a stream of a field (H, W).

        Raises:
            InputError: The file does not fit the stream.
        """
        ...

    @property
    def settings(self) -> Settings:
        """Settings of the stream."""
        ...

    @property
    def compute(self) -> Compute:
        """Where the model is computed."""
        ...

    @property
    def last_number(self) -> int:
        """Number of the last frame ingested from this stream, -1 before the first."""
        ...

    @property
    def frames_learned(self) -> int:
        """Number of frames that the model has learned from."""
        ...

    def copy(self) -> Self:
        """Return a model that learns on from here and leaves this one as it is."""
        ...

    def with_settings(self, settings: Settings) -> Self:
        """Return a copy with settings that differ in the output only.

        Settings.learns_like says which settings these are.
        """
        ...

    def start_stream(self) -> None:
        """Go on with another stream of the same field: frame numbers start again."""
        ...

    def leave_out(self, numbers: Iterable[int], reason: str) -> None:
        """Leave frames out of all windows to come.

        Args:
            numbers: Numbers of the frames.
            reason: Shown in the notes of those windows.
        """
        ...

    def ingest(self, raw: Array, span: WindowSpan) -> None:
        """Ingest new frames, each once and in order.

        Args:
            raw: (T, H, W) ADU.
            span: numbers of the frames, and the window that they are ingested for.
        """
        ...

    def picture(
        self,
        span: WindowSpan,
        level: ProcessingLevel | None = None,
        callbacks: ProgressCallbacks = NO_CALLBACKS,
        preview: Callable[[Reconstruction], None] | None = None,
    ) -> Reconstruction:
        """Learn from a window of ingested frames and super-resolve it.

        Args:
            span: position of the window in its stream.
            level: less than the settings ask for, to save time.
            callbacks: callbacks of progress.
            preview: called with a first picture as soon as there is one.
        """
        ...

    def accumulate(self, callbacks: ProgressCallbacks = NO_CALLBACKS) -> Accumulation | None:
        """Check the last window's claims where due, and accumulate it.

        It is called once the window's own picture is out.

        Args:
            callbacks: callbacks of progress.

        Returns:
            The sums over all frames of the scene; None where they are not kept.
        """
        ...

    def cost(self, first: int) -> WindowCost:
        """Return the work that the window from frame `first` on still takes."""
        ...

    def iteration_s(self) -> float:
        """Measure the time of one iteration on this machine, in seconds."""
        ...

    def memory_shortage(self, frames: int) -> str:
        """Describe the device's shortage of memory for a window of `frames`.

        The text is empty where the memory is sufficient.
        """
        ...

    def fingerprint(self) -> str:
        """Return hexadecimal digits that identify the model.

        They change with everything that its pictures depend on. The text is empty where the model has no name.
        """
        ...

    def save(self, path: Path, source: str, *, overwrite: bool = False) -> None:
        """Save what was learned to a file, with the source it was learned from."""
        ...
