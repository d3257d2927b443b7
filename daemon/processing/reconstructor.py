"""Reconstruction of live windows by the engine.

Settings are followed as they change, processing levels chosen by load, and batches made smaller where memory is short.

No thread, no socket and no file but the checkpoint it starts from: a recorded run is repeated through the same class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from daemon.health import Level
from daemon.processing.first_window import estimate_s
from daemon.processing.load_control import LoadController, Workload
from daemon.stopwatch import Stopwatch
from selfstorm.compute.batching import retry_on_oom
from selfstorm.compute.device import launch_s
from selfstorm.errors import InputError, first_line
from selfstorm.frames import Array, StreamInfo, Window
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import EngineWindow, Outcome, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import kind_of, load_model, new_model
from selfstorm.stream.model_protocol import StreamModel
from selfstorm.stream.per_frame import ProgressCallbacks
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.settings import Settings
from selfstorm.stream.tiled.field import TileWorkers
from selfstorm.stream.warm_up import warm_up

MAX_FAILED_MODELS = 2  # a window: smaller batches do not make a model smaller
PREVIEW = ProcessingLevel("preview", "density", "fast")  # the density, before anything else is made

Tell = Callable[[Level, str, str], None]
Preview = Callable[[Reconstruction], None]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """A picture, and what it was made with.

    Attributes:
        result: the picture.
        level: processing level that it was made at.
        model_hash: names the model that it was made with; empty where the model has no name.
        learned: the model learned from the window.
    """

    result: Reconstruction
    level: ProcessingLevel
    model_hash: str
    learned: bool

    @property
    def state(self) -> str:
        """State of the model before the window, or that it was rolled back."""
        return self.result.state


class Reconstructor:
    """Reconstructs the windows of live streams.

    Args:
        settings: returns the settings of a stream, called before every window.
        device: prepared for computation.
        steady: never lower the processing level to save time.
        tell: called with the level, code and text of each event for the user.
        as_offline: ingest a window's new frames in the batches of offline, not in those that the device has memory for.
        budget: returns the share of the time between windows that may be used.
        checkpoint: file of a model to start from, if it exists.
        tile_workers: processes that compute the tiles of a tiled model, where there are any.
    """

    def __init__(
        self,
        settings: Callable[[StreamInfo], Settings],
        device: torch.device,
        *,
        steady: bool,
        tell: Tell,
        as_offline: bool = False,
        budget: Callable[[], float] = lambda: 1.0,
        checkpoint: Path | None = None,
        tile_workers: TileWorkers | None = None,
    ) -> None:
        self._settings_of, self._steady, self._budget = settings, steady, budget
        self._tell, self._checkpoint, self._as_offline = tell, checkpoint, as_offline
        self._info: StreamInfo | None = None
        warm_up(device)
        self.compute = Compute(device, tile_workers=tile_workers)
        self._engine = StreamEngine(self._new_model)
        self._load: LoadController | None = None
        self.continues_checkpoint = False
        self._level = PREVIEW
        self._failed_models = 0
        self._accumulation_s = 0.0
        self._workload: Workload

    @property
    def settings(self) -> Settings:
        """Settings of the last window."""
        return self._settings

    @property
    def model(self) -> StreamModel | None:
        """The last good model."""
        return self._engine.model

    def in_time(self, window: Window) -> Window:
        """Drop the oldest frames before a window, for lack of time.

        Frames are kept as far as there is time to ingest them.
        """
        if self._load is None or self._steady or not window.before:
            return window  # a first window has no costs yet
        time_for = self._load.max_frames(stride_s(window)) - len(window.frames)
        return replace(window, before=window.before[max(0, len(window.before) - max(0, time_for)) :])

    def first_window_s(self, window: Window) -> float:
        """Estimate the seconds until the first density of a new model.

        Returns:
            0 where the window has a model, where the source waits (lossless), and where it is short.
        """
        self._follow(window)
        if self._engine.model is not None or self._steady or not window.frames:
            return 0.0
        return estimate_s(self._settings, window, self.compute.device)

    def forget(self) -> None:
        """Start a new model with the next window."""
        self._engine.restart()
        self._checkpoint, self.continues_checkpoint = None, False

    def reconstruct(
        self,
        window: Window,
        stopwatch: Stopwatch,
        preview: Preview | None = None,
        level: ProcessingLevel | None = None,
    ) -> WindowResult:
        """Reconstruct a window; the model stays as it was where that fails.

        Args:
            window: with at least one frame.
            stopwatch: marks each step.
            preview: called with the density as soon as there is one.
            level: that of a recorded run, to repeat it; None to choose one by load.
        """
        self._follow(window)
        self._failed_models = 0
        engine_window = _engine_window(window)
        work = partial(self._try, window, engine_window, stopwatch, preview, level)
        try:
            return retry_on_oom(work, partial(self._do_less, window))
        except Exception:
            self._engine.skip(engine_window)
            raise

    def accumulate(self) -> Accumulation | None:
        """Add the last window to the accumulated picture, once its own is out.

        The time that it takes is counted as that of the next window, less that of a check of claims, which is due now
        and then.
        """
        stopwatch = Stopwatch(self.compute.clock)
        try:
            return self._engine.accumulate(ProgressCallbacks(mark=stopwatch.mark))
        finally:
            stopwatch.mark("accumulation")
            self._accumulation_s = stopwatch.seconds["accumulation"]
            if self._load is not None:
                self._load.record_timing(self._level, self._workload, stopwatch.seconds, 0)

    def _follow(self, window: Window) -> None:
        """Prepare the engine for a window.

        The window's stream may be new, and the settings may have changed.
        """
        before, self._info = self._info, window.info
        self._settings = wanted = self._settings_of(window.info)
        self._start_from_checkpoint(window.info)
        model = self._engine.model
        if model is None:
            self._load = None
        elif before is not None and (_field(before) != _field(window.info) or not wanted.learns_like(model.settings)):
            self._engine.restart()
            self._load, self.continues_checkpoint = None, False
        else:
            if model.settings != wanted:
                self._engine.go_on_from(model.with_settings(wanted))
                self._load = None
            if before is not None and before.stream != window.info.stream:
                self._engine.start_stream()

    def _start_from_checkpoint(self, info: StreamInfo) -> None:
        """Load the checkpoint for the first window.

        A later field starts a new model.
        """
        path, self._checkpoint = self._checkpoint, None
        if path is None or not path.exists():
            return
        try:
            model = load_model(path, self._settings, (info.height, info.width), self.compute)
        except InputError as error:
            self._tell("warning", "checkpoint_not_used", f"{error}; the model starts anew")
        else:
            self._engine.go_on_from(model)
            self.continues_checkpoint = True
            self._tell("info", "checkpoint_used", f"{path}: goes on from {model.frames_learned} frames")

    def _new_model(self, first_window: Array) -> StreamModel:
        try:
            return new_model(self._settings, first_window, self.compute)
        except Exception:
            self._failed_models += 1
            raise

    def _try(
        self,
        window: Window,
        engine_window: EngineWindow,
        stopwatch: Stopwatch,
        preview: Preview | None,
        level: ProcessingLevel | None,
    ) -> WindowResult:
        def choose_level(model: StreamModel) -> ProcessingLevel:
            self._load = self._load or self._new_load_controller(model)
            new = len(self._engine.new_numbers(engine_window))
            self._workload = self._workload_of(model, window, new)
            self._level = level or self._affordable_level(self._load, window, self._workload)
            return self._level

        limits = self.compute.limits
        batch = None if self._as_offline else limits.new_frames
        callbacks = ProgressCallbacks(mark=stopwatch.mark)
        outcome = self._engine.reconstruct(engine_window, choose_level, callbacks, preview, batch)
        if self._load is not None:
            self._load.record_timing(self._level, self._workload, stopwatch.seconds, outcome.result.looked_at)
        if self.compute.limits != limits:
            self._tell_of_memory(window, "no memory", f"batches of {self.compute.limits.map_bytes >> 20} MiB")
        if outcome.alarm:
            self._tell_of_alarm(window, outcome)
        return WindowResult(outcome.result, self._level, outcome.model.fingerprint(), outcome.learned)

    def _new_load_controller(self, model: StreamModel) -> LoadController:
        return LoadController(
            model.settings.level,
            steady=self._steady,
            iteration_s=model.iteration_s(),
            launch_s=launch_s(self.compute.device),
        )

    def _workload_of(self, model: StreamModel, window: Window, new: int) -> Workload:
        cost = model.cost(window.first_seq)
        between_s = stride_s(window) * self._budget()
        return Workload(
            new=new,
            unseen=cost.pending_frames,
            iterations=cost.iterations,
            stride=window.stride,
            stride_s=max(between_s / 2, between_s - self._accumulation_s),
            psf_update_due=cost.psf_update_due,
            claims_due=cost.claims_due,
        )

    def _affordable_level(self, load: LoadController, window: Window, workload: Workload) -> ProcessingLevel:
        """Choose the level by load, with an event where it changes."""
        before = load.step
        level = load.choose_level(workload)
        if level.name != before.name and load.step is not before:
            severity: Level = "info" if load.step.name == "full" else "warning"
            text = f"from '{before.name}' to '{load.step.name}', a stride lasts {workload.stride_s:.2g} s"
            self._tell(severity, "pace", f"window {window.index}: {text}")
        return level

    def _tell_of_alarm(self, window: Window, outcome: Outcome) -> None:
        if outcome.reset:
            self._load = None
            self._tell("warning", "model_reset", f"window {window.index}: {outcome.alarm}: the model starts anew")
        else:
            self._tell("warning", "rolled_back", f"window {window.index}: {outcome.alarm}; it is not learned from")

    def _do_less(self, window: Window, error: Exception) -> bool:
        """Reduce the memory in use from now on.

        Batches are halved, or the density alone is computed where they cannot be.

        Returns:
            False where neither helps.
        """
        if not kind_of(self._settings.model).has_levels or self._failed_models >= MAX_FAILED_MODELS:
            return False
        if self.compute.halve_limits():
            what = f"batches of {self.compute.limits.map_bytes >> 20} MiB"
        elif self._load is not None and self._load.step.estimate != "density":
            self._load.at_most("density")
            what = "the density alone"
        else:
            return False
        self._tell_of_memory(window, f"no memory ({first_line(error)[:200]})", what)
        return True

    def _tell_of_memory(self, window: Window, why: str, what: str) -> None:
        self._tell("warning", "out_of_memory", f"window {window.index}: {why}; going on with {what}")


def _engine_window(window: Window) -> EngineWindow:
    pixels = {frame.seq: frame.pixels for frame in (*window.before, *window.frames)}

    def read(numbers: Array) -> Array:
        return np.stack([pixels[number] for number in numbers.tolist()])

    seqs, before = (np.array([f.seq for f in frames], np.int64) for frames in (window.frames, window.before))
    field = window.info.height, window.info.width
    return EngineWindow(WindowSpan(seqs, window.first_seq, window.stride), field, read, before)


def stride_s(window: Window) -> float:
    """Estimate the seconds from one window to the next.

    They are measured over the newest stride, or over two where those were faster.

    Frames that are late once make no slower camera: a worker that counted on more time would have to skip windows.
    """

    def frame_s(count: int) -> float:
        newest = window.frames[-count - 1 :]
        return (newest[-1].received_unix_ns - newest[0].received_unix_ns) / 1e9 / max(len(newest) - 1, 1)

    return window.stride * min(frame_s(window.stride), frame_s(2 * window.stride))


def _field(info: StreamInfo) -> StreamInfo:
    """Return the camera, field and pixels that a model belongs to.

    A stream's name and frame rate may change: they are left out.
    """
    return info.model_copy(update={"stream": "", "rate_hz": None})
