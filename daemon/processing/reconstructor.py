"""Windows -> pictures, by one model that learns on: what it starts from, what it keeps, what is rolled back.

    frames ──► a copy of the model watches them ──► effort ──► (preview) ──► picture ──► guard ──► the copy is the model
                                                                                          `──► or is forgotten

No thread, no socket and no file but the checkpoint it starts from: a recorded run is repeated through the same class.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from daemon.health import Level
from daemon.processing.load_control import LoadController, Workload
from daemon.processing.misfit_guard import PATIENCE, MisfitDetector
from daemon.stopwatch import Stopwatch
from selfstorm.compute.batching import BatchLimits, out_of_memory, release
from selfstorm.errors import InputError, first_line
from selfstorm.frames import Frame, StreamInfo, Window
from selfstorm.reconstruction import Reconstruction
from selfstorm.stages.density import cold_iterations, iterate
from selfstorm.stream.checkpoint import fingerprint, load_model
from selfstorm.stream.engine import Model, ingest, new_model, picture_of
from selfstorm.stream.frame_store import WindowSpan, unseen
from selfstorm.stream.model import SequenceModel, Settings
from selfstorm.stream.per_frame import ProgressCallbacks
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.warm_up import warm_up

PROBES, PROBED_LAYERS = 3, 4
PREVIEW = ProcessingLevel("preview", "density", "fast")  # the density, before anything else is made
FORGOTTEN = "of a window that was not learned from"

Tell = Callable[[Level, str, str], None]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """A picture, and what it was made with. learned: whether the window was learned from."""

    result: Reconstruction
    effort: ProcessingLevel
    model_hash: str
    learned: bool

    @property
    def state(self) -> str:
        """What was known before, or that the window was not learned from."""
        return self.result.state if self.learned else "rolled back"


class Reconstructor:
    """Reconstructs window after window, each warm-started by the last.

    settings: of a stream, asked before every window. steady: never make less of a window to save time. tell: of events
    that a user should know. whole: take in a window's new frames all at once, as offline does, not piece by piece in
    bounded memory. budget: share of the time between windows that may be spent, asked likewise. checkpoint: a model to
    start from, if it is there. model: the last good one.
    """

    def __init__(
        self,
        settings: Callable[[StreamInfo], Settings],
        device: torch.device,
        *,
        steady: bool,
        tell: Tell,
        whole: bool = False,
        budget: Callable[[], float] = lambda: 1.0,
        checkpoint: Path | None = None,
    ) -> None:
        self._settings, self._device, self._steady, self._budget = settings, device, steady, budget
        self._tell, self._checkpoint, self._whole = tell, checkpoint, whole
        self._info: StreamInfo | None = None
        self._watched = -1
        self._forgotten: tuple[tuple[int, str], ...] = ()
        self._limits = BatchLimits.on(device)
        warm_up(device)
        self._guard = MisfitDetector()
        self._pace: LoadController | None = None
        self.model: Model | None = None

    @property
    def settings(self) -> Settings:
        """Of the model that the last window was tried with."""
        return self._tried

    def in_time(self, window: Window) -> Window:
        """The window with as many of the frames before it as there is time to watch, the newest of them."""
        if self._pace is None or self._steady or not window.before:
            return window  # a first window has no costs yet
        time_for = self._pace.max_frames(stride_s(window)) - len(window.frames)
        return replace(window, before=window.before[max(0, len(window.before) - max(0, time_for)) :])

    def reconstruct(
        self,
        window: Window,
        stopwatch: Stopwatch,
        preview: Callable[[Reconstruction], None] | None = None,
        effort: ProcessingLevel | None = None,
    ) -> WindowResult:
        """The picture of a window; the model is as it was where that fails.

        preview: handed the density as soon as there is one. effort: to make of it what a recorded run made of it.
        """
        made = None
        try:
            while made is None:
                try:
                    made = self._try(window, stopwatch, preview, effort)
                except Exception as error:
                    if not (out_of_memory(error) and self._halve_limits(window, error)):
                        raise
        finally:
            if made is None or not made.learned:
                self._forgotten = tuple((frame.seq, FORGOTTEN) for frame in window.frames if self._new(frame))
            self._info, self._watched = window.info, window.last_seq
        return made

    def _try(
        self,
        window: Window,
        stopwatch: Stopwatch,
        preview: Callable[[Reconstruction], None] | None,
        effort: ProcessingLevel | None,
    ) -> WindowResult:
        model = self._model_for(window)
        self._trying, self._tried = model, model.settings
        self._pace = pace = self._pace or self._new_pace(model)
        new = [frame for frame in (*window.before, *window.frames) if self._new(frame)]
        together = max(len(new), 1) if self._whole else self._limits.new_frames
        for first in range(0, len(new), together):
            some = new[first : first + together]
            ingest(model, np.stack([f.pixels for f in some]), self._place(window, some))
        stopwatch.mark("watch")
        demand = self._demand(model, window, len(new))
        before = pace.step
        effort = effort or pace.choose_level(demand)
        if effort.name != before.name and pace.step is not before:
            self._tell_of(pace.step, before, window, demand)
        result = picture_of(
            model, self._place(window, window.frames), effort, ProgressCallbacks(mark=stopwatch.mark), preview
        )
        pace.record_timing(effort, demand, stopwatch.seconds, result.looked_at)
        self._take_note_of_less(model, window)
        made = WindowResult(result, effort, fingerprint(model) if isinstance(model, SequenceModel) else "", True)
        if jumped := self._guard.jumped(result):
            return self._rolled_back(made, window, jumped)
        self.model = model
        return made

    def _new(self, frame: Frame) -> bool:
        """Whether no window before had it."""
        return self._info is None or self._info.stream != frame.stream or frame.seq > self._watched

    def _model_for(self, window: Window) -> Model:
        """What this window is tried with: a copy of the model, or a new one."""
        info, model, wanted = window.info, self.model, self._settings(window.info)
        same_field = self._info is not None and _field(self._info) == _field(info)
        if model is not None and self._info is not None and same_field and _learned_alike(model.settings, wanted):
            model = model.copy()
            if model.settings != wanted:
                model.settings, self._pace = wanted, None
            if self._info.stream != info.stream:
                model.start_stream()
        else:
            model, self._pace, self._guard = self._first_model(window, wanted), None, MisfitDetector()
            self._watched = -1
        if isinstance(model, SequenceModel):
            model.left_out, self._forgotten = model.left_out + self._forgotten, ()
            model.limits = self._limits
        return model

    def forget(self) -> None:
        """The next window starts a new model."""
        self.model, self._checkpoint = None, None

    def _first_model(self, window: Window, settings: Settings) -> Model:
        checkpoint, self._checkpoint = self._checkpoint, None  # another field later starts anew
        if checkpoint is not None and checkpoint.exists():
            try:
                model = load_model(checkpoint, settings, (window.info.height, window.info.width), self._device)
            except InputError as error:
                self._tell("warning", "checkpoint_not_used", f"{error}; the model starts anew")
            else:
                self._tell("info", "checkpoint_used", f"{checkpoint}: goes on from {model.frames} frames")
                return model
        return new_model(settings, np.stack([frame.pixels for frame in window.frames]), self._device)

    def _new_pace(self, model: Model) -> LoadController:
        return LoadController(model.settings.effort, steady=self._steady, layer_s=_layer_s(model))

    def _place(self, window: Window, frames: list[Frame] | tuple[Frame, ...]) -> WindowSpan:
        return WindowSpan(np.array([frame.seq for frame in frames]), window.first_seq, window.stride)

    def _demand(self, model: Model, window: Window, new: int) -> Workload:
        if not isinstance(model, SequenceModel):
            return Workload(new, new, 1, window.stride, 0.0, False)
        return Workload(
            new=new,
            unseen=unseen(model.film, window.first_seq, model.settings.estimate == "fused", model.memory.frames),
            layers=cold_iterations(model.memory.frames),
            stride=window.stride,
            stride_s=stride_s(window) * self._budget(),
            psf_update_due=model.psf_update_due,
        )

    def _tell_of(self, now: ProcessingLevel, before: ProcessingLevel, window: Window, demand: Workload) -> None:
        level: Level = "info" if now.name == "full" else "warning"
        why = f"a stride lasts {demand.stride_s:.2g} s"
        self._tell(level, "pace", f"window {window.index}: from '{before.name}' to '{now.name}', {why}")

    def _rolled_back(self, made: WindowResult, window: Window, why: str) -> WindowResult:
        """The picture as it is, with a warning; the model before it stays, unless nothing fits it any more."""
        if self._guard.jumps >= PATIENCE:
            self.model = None
            why = f"{why}, {PATIENCE} times in a row"
            self._tell("warning", "model_reset", f"window {window.index}: {why}: the model starts anew")
        else:
            self._tell("warning", "rolled_back", f"window {window.index}: {why}; it is not learned from")
        notes = (f"{why}: not learned from; do not trust this picture", *made.result.notes)
        return replace(made, result=replace(made.result, notes=notes), learned=False)

    def _halve_limits(self, window: Window, error: Exception) -> bool:
        """Plan with less memory from now on; False where that cannot be."""
        if self._pace is None or self._tried.model == "paper":
            return False
        release()
        less = self._trying.limits.halved() if isinstance(self._trying, SequenceModel) else None
        if less is not None:
            self._limits = less
            what = f"batches of {less.map_bytes >> 20} MiB"
        elif self._pace.step.estimate != "density":
            self._pace.at_most("density")
            what = "the density alone"
        else:
            return False
        why = f"no memory ({first_line(error)[:200]})"
        self._tell("warning", "out_of_memory", f"window {window.index}: {why}; going on with {what}")
        return True

    def _take_note_of_less(self, model: Model, window: Window) -> None:
        """Where a window came to its end in smaller batches than it began with, the next begin with those."""
        if isinstance(model, SequenceModel) and model.limits != self._limits:
            self._limits = model.limits
            what = f"going on with batches of {model.limits.map_bytes >> 20} MiB"
            self._tell("warning", "out_of_memory", f"window {window.index}: no memory; {what}")


def stride_s(window: Window) -> float:
    """Seconds from one window to the next: what the newest frames took, or those of two strides where they were faster.

    Frames that come late once make no slower camera: a worker that took its time for that would have to skip windows.
    """

    def frame_s(count: int) -> float:
        newest = window.frames[-count - 1 :]
        return (newest[-1].received_unix_ns - newest[0].received_unix_ns) / 1e9 / max(len(newest) - 1, 1)

    return window.stride * min(frame_s(window.stride), frame_s(2 * window.stride))


def _field(info: StreamInfo) -> StreamInfo:
    """What a model belongs to: the same camera, field and pixels, whenever they are filmed."""
    return info.model_copy(update={"stream": "", "rate_hz": None})


def _learned_alike(one: Settings, other: Settings) -> bool:
    """Whether what is learned with one is what is learned with the other: they differ in what is made of it only."""
    made_of_it = {"estimate": "", "quality": "", "tuning_steps": 0}
    same = replace(one, **made_of_it) == replace(other, **made_of_it)  # type: ignore[arg-type]
    return same and one.network_scale == other.network_scale


def _layer_s(model: Model) -> float:
    """What a layer of the density network takes here and now."""
    if not isinstance(model, SequenceModel):
        return 1.0
    flat, times = torch.ones_like(model.imaging.norm), []
    seen = model.covariance.forward(flat)
    for _ in range(PROBES):
        start = time.perf_counter()
        float(iterate(model.covariance, flat, seen, seen, flat, PROBED_LAYERS).sum())
        times.append(time.perf_counter() - start)
    return min(times) / PROBED_LAYERS
