"""The engine of offline and live: windows -> pictures.

One model learns from window to window, and is rolled back where a window does not fit.

frames ──► a copy of the model ingests them ──► picture ──► misfit guard ──► the copy is the model
                                              |                  `──► or is dropped, and its frames left out
                                              `──► once it is out: claims that are due, the accumulated picture
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from selfstorm.frames import Array
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.focus_history import FocusHistory
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.memory_plan import ingested_together
from selfstorm.stream.misfit_guard import MAX_JUMPS, MisfitGuard
from selfstorm.stream.model_protocol import StreamModel
from selfstorm.stream.per_frame import NO_CALLBACKS, ProgressCallbacks
from selfstorm.stream.processing_level import ProcessingLevel

NOT_LEARNED_FROM = "from a window that the model did not learn from"
MISFIT_CAUTION = "the model does not learn from this window; do not trust this picture"

MakeModel = Callable[[Array], StreamModel]
ChooseLevel = Callable[[StreamModel], ProcessingLevel | None]


@dataclass(frozen=True, eq=False)
class EngineWindow:
    """A window and where its frames are.

    Attributes:
        span: numbers of its frames, and its position in the stream.
        frame_shape: (H, W) of each.
        read: returns the frames (T, H, W) ADU of some numbers.
        before: (T,) numbers of frames before the window that are in none that was reconstructed.
    """

    span: WindowSpan
    frame_shape: tuple[int, int]
    read: Callable[[Array], Array]
    before: Array = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The picture of a window, and whether the model learned from it.

    Attributes:
        result: the picture.
        model: model that made it.
        learned: the model learned from the window.
        alarm: why it did not, empty otherwise.
        reset: the model was dropped too, because no window fits it any more.
    """

    result: Reconstruction
    model: StreamModel
    learned: bool
    alarm: str = ""
    reset: bool = False


class StreamEngine:
    """Reconstruction of window after window.

    Each window benefits from what the model learned from those before it.

    Args:
        make_model: makes the model of a stream from its first window, (T, H, W) ADU.
        model: to go on from, where there is one.

    Attributes:
        model: the last good one; None before the first window and after a reset.
        compute: device of the model that was tried last; None before the first window.
    """

    def __init__(self, make_model: MakeModel, model: StreamModel | None = None) -> None:
        self._make_model, self.model = make_model, model
        self.compute: Compute | None = None
        self._focus = FocusHistory()
        self._start()

    def _start(self) -> None:
        self._last_number = -1
        self._left_out: Array = np.zeros(0, np.int64)
        self._guard = MisfitGuard()

    def restart(self) -> None:
        """Drop the model and its run: the next window makes another."""
        self._focus = FocusHistory()
        self._drop_model()

    def _drop_model(self) -> None:
        self.model = None
        self._start()

    def go_on_from(self, model: StreamModel) -> None:
        """Continue from another model of the same stream.

        It has other settings, or was loaded from a file.
        """
        self.model = model

    def start_stream(self) -> None:
        """Continue with another stream of the same field.

        What was learned remains valid; frame numbers start again.
        """
        if self.model is not None:
            self.model = self.model.copy()
            self.model.start_stream()
        self._focus = FocusHistory()  # another acquisition may be of another colour
        self._last_number, self._left_out = -1, self._left_out[:0]

    def new_numbers(self, window: EngineWindow) -> Array:
        """Return the numbers of the frames that no window before had, (T,)."""
        numbers = np.concatenate([window.before, window.span.numbers])
        return np.asarray(numbers[numbers > self._last_number])

    def candidate(self, window: EngineWindow) -> StreamModel:
        """Return what a window is tried with: a copy of the model, or a new one."""
        if self.model is None:
            self._start()
            return self._make_model(window.read(window.span.numbers))
        model = self.model.copy()
        model.leave_out(self._left_out.tolist(), NOT_LEARNED_FROM)
        return model

    def reconstruct(
        self,
        window: EngineWindow,
        choose_level: ChooseLevel = lambda model: None,
        callbacks: ProgressCallbacks = NO_CALLBACKS,
        preview: Callable[[Reconstruction], None] | None = None,
        batch: int | None = None,
    ) -> Outcome:
        """Reconstruct a window and learn from it.

        Args:
            window: with at least one frame.
            choose_level: called with the model that has ingested the frames; None for all that was asked for.
            callbacks: callbacks of progress.
            preview: called with a first picture as soon as there is one.
            batch: new frames that are ingested together; None for `ingested_together`.

        Raises:
            Exception: whatever the model raises; the engine is as before, so that the window can be tried again or
                skipped.
        """
        model, new = self.candidate(window), self.new_numbers(window)
        self.compute = model.compute
        batch = batch or ingested_together(window.frame_shape)
        for first in range(0, len(new), batch):
            some = new[first : first + batch]
            to_come = len(new) - first - len(some)
            model.ingest(window.read(some), replace(window.span, numbers=some, to_come=to_come))
        callbacks.mark("ingest")
        result = self._focus.compare(model.picture(window.span, choose_level(model), callbacks, preview))
        alarm = self._guard.reject(result)
        if not alarm:
            self.model = model
            self._end(window, learned=True)
            return Outcome(result, model, learned=True)
        reset = self._guard.jumps >= MAX_JUMPS
        if reset:
            alarm = f"{alarm}, {MAX_JUMPS} times in a row"
            self._drop_model()
        else:
            self._end(window, learned=False)
        notes = (f"{alarm[0].upper()}{alarm[1:]}; {MISFIT_CAUTION}", *result.notes)
        return Outcome(replace(result, state="rolled back", notes=notes), model, False, alarm, reset)

    def accumulate(self, callbacks: ProgressCallbacks = NO_CALLBACKS) -> Accumulation | None:
        """Check the last window's claims where due, and accumulate it.

        It is a window that was learned from. It is called when the window's own picture is out. Where it is not, the
        next window does it first.

        Args:
            callbacks: callbacks of progress.

        Returns:
            The sums over all frames of the scene; None where they are not kept.
        """
        return None if self.model is None else self.model.accumulate(callbacks)

    def skip(self, window: EngineWindow) -> None:
        """Continue after a window that could not be reconstructed.

        Its frames are left out of the windows to come.
        """
        self._end(window, learned=False)

    def _end(self, window: EngineWindow, *, learned: bool) -> None:
        left_out = np.concatenate([self._left_out, self.new_numbers(window)])
        self._left_out = left_out[:0] if learned else left_out
        self._last_number = int(window.span.numbers[-1])
