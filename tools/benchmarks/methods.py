"""Every method a benchmark compares, from raw frames to a picture, on the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.baselines.classical import (
    FISTA_ITERATIONS,
    FISTA_PENALTY,
    RL_ITERATIONS,
    fista,
    richardson_lucy,
    smooth_background,
    sofi2,
    temporal_std,
)
from selfstorm.baselines.self_storm_2024 import PaperModel, PaperSettings, normalise, optimiser_of, picture, train
from selfstorm.compute.batching import batches
from selfstorm.compute.device import synchronize
from selfstorm.frames import Array
from selfstorm.physics.camera import calibrate
from selfstorm.stream.brightness import frame_gains
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model import learn_model
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.settings import Settings


@dataclass(frozen=True)
class Task:
    """Input of every method.

    raw: (T, H, W) ADU. settings: ours', of which the others take camera, PSF and the scale of ours' networks.
    paper_epochs: how long the paper's model is trained at most.
    """

    raw: Array
    settings: Settings
    device: torch.device
    paper_epochs: int


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and of processor time of all threads, which hardly depends on other programs."""

    seconds: float
    cpu_seconds: float

    def __add__(self, more: Took) -> Took:
        return Took(self.seconds + more.seconds, self.cpu_seconds + more.cpu_seconds)


def three_digits(value: float) -> str:
    """0.0123, 1.23, 12.3, 1230: never with an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


@dataclass(frozen=True)
class WindowResult:
    """A picture and what it took.

    picture: (rows, columns) float32, its first cell's corner that of the first camera pixel. took: from raw frames to
    it. about: what was done. localizations: (N, 3) frame, y_nm, x_nm; None where the method makes none.
    """

    label: str
    picture: Array
    pitch_nm: float
    took: Took
    about: str
    localizations: Array | None = None


class _Clock:
    """Time and memory spent since it was made, with the device's work done."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._wall, self._cpu = device, time.perf_counter(), time.process_time()

    def took(self) -> Took:
        synchronize(self._device)
        return Took(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def _ours(task: Task) -> Iterator[WindowResult]:
    """As the user gets it, and at each step down that the live engine takes when it has to hurry."""
    yield _ours_with("ours", task, task.settings)
    hurried = replace(task.settings, quality="fast")
    yield _ours_with("ours, fast", task, hurried)
    for estimate in ("emitters", "density"):
        settings = replace(hurried, estimate=estimate, scale=hurried.grid_scale)
        yield _ours_with(f"ours, fast, {estimate} alone", task, settings)


def _ours_with(label: str, task: Task, settings: Settings) -> WindowResult:
    clock, frames = _Clock(task.device), len(task.raw)
    model = new_model(settings, task.raw, Compute(task.device))
    numbers = np.arange(frames)
    model.ingest(task.raw, WindowSpan(numbers, 0, frames))
    result = model.picture(WindowSpan(numbers, 0, frames))
    took, found = clock.took(), result.localizations
    table = None
    if found is not None:
        table = torch.stack([v.double() for v in (found.frame, found.y_nm, found.x_nm)], 1).cpu().numpy()
    about = f"{result.estimate}, {settings.quality}; {result.optics}; {result.camera}"
    return WindowResult(label, result.picture, settings.pixel_nm / result.scale, took, about, table)


def _paper(task: Task) -> Iterator[WindowResult]:
    """The published model, trained for 0, 1 and paper_epochs epochs: one run with intermediate results."""
    clock = _Clock(task.device)
    stack = normalise(task.raw)
    model = PaperModel(PaperSettings()).to(task.device)
    optimiser, generator = optimiser_of(model), torch.Generator().manual_seed(0)
    steps = -(-len(stack) // model.settings.batch)
    spent, trained = clock.took(), 0
    for epochs in sorted({0, 1, task.paper_epochs}):
        clock = _Clock(task.device)
        train(model, stack, steps * (epochs - trained), optimiser=optimiser, generator=generator)
        spent, trained = spent + clock.took(), epochs
        schedule = "untrained" if epochs == 0 else f"{epochs} epoch{'s' * (epochs > 1)}"
        for ridges in (True, False):
            clock = _Clock(task.device)
            sr = picture(model, stack, ridges=ridges)
            label = f"paper, {schedule}" + ("" if ridges else ", no ridges")
            about = f"Self-STORM as published, batches of {model.settings.batch}, {epochs * steps} steps"
            pitch_nm = task.settings.pixel_nm / model.settings.scale
            yield WindowResult(label, np.ascontiguousarray(sr, np.float32), pitch_nm, spent + clock.took(), about)


def _fista(task: Task) -> Iterator[WindowResult]:
    clock = _Clock(task.device)
    model, y = learn_model(task.settings, task.raw, Compute(task.device)), _photons(task)
    background, total = smooth_background(y), torch.zeros_like(model.operators.imaging.norm)
    for part in batches(len(y), total):
        total += fista(model.operators.imaging, y[part], background).sum(0)
    psf = model.calibration.psf
    about = f"every frame, {FISTA_ITERATIONS} iterations, penalty {FISTA_PENALTY:g}; {psf}; sum over frames"
    yield _made("FISTA", model.grid.crop(total), task, clock, about)


def _richardson_lucy(task: Task) -> Iterator[WindowResult]:
    clock = _Clock(task.device)
    model, y = learn_model(task.settings, task.raw, Compute(task.device)), _photons(task)
    x = richardson_lucy(model.operators.imaging, y.mean(0), smooth_background(y))
    about = f"of the mean frame, {RL_ITERATIONS} iterations; {model.calibration.psf}"
    yield _made("Richardson-Lucy", model.grid.crop(x), task, clock, about)


def _sofi2(task: Task) -> Iterator[WindowResult]:
    clock = _Clock(task.device)
    sr = torch.from_numpy(sofi2(_photons(task), task.settings.grid_scale))
    yield _made("SOFI2", sr, task, clock, "cross-cumulants on virtual pixels (XC-SOFI2), cubic splines between them")


def _std(task: Task) -> Iterator[WindowResult]:
    clock = _Clock(task.device)
    yield _made("temporal std", temporal_std(_photons(task)), task, clock, "of every camera pixel")


def _mean(task: Task) -> Iterator[WindowResult]:
    clock = _Clock(task.device)
    yield _made("widefield", _photons(task).mean(0), task, clock, "mean frame on camera pixels")


METHODS: dict[str, Callable[[Task], Iterator[WindowResult]]] = {
    "ours": _ours,
    "paper": _paper,
    "fista": _fista,
    "richardson-lucy": _richardson_lucy,
    "sofi2": _sofi2,
    "std": _std,
    "widefield": _mean,
}


def _photons(task: Task) -> Tensor:
    """(T, H, W) photons, the frames' brightness evened out as ours does."""
    settings = task.settings
    camera = calibrate(task.raw, settings.offset_adu, settings.gain_adu_per_electron)
    y = torch.as_tensor(camera.photons(task.raw)).to(task.device)
    return y / frame_gains(y)


def _made(label: str, sr: Tensor, task: Task, clock: _Clock, about: str) -> WindowResult:
    """A picture of the whole field; its pitch follows from its size."""
    array = np.ascontiguousarray(sr.cpu().numpy(), np.float32)
    pitch_nm = task.settings.pixel_nm * task.raw.shape[1] / array.shape[0]
    return WindowResult(label, array, pitch_nm, clock.took(), about)
