"""Methods that a benchmark compares, from raw frames to a picture, timed."""

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

    Attributes:
        raw: (T, H, W) ADU.
        settings: ours, from which the other methods take camera, PSF and the scale of our networks.
        device: to compute on.
        paper_epochs: maximum training of the paper's model.
    """

    raw: Array
    settings: Settings
    device: torch.device
    paper_epochs: int


@dataclass(frozen=True)
class Took:
    """Time of a piece of work.

    Attributes:
        seconds: wall-clock time.
        cpu_seconds: processor time of all threads, which hardly depends on other programs.
    """

    seconds: float
    cpu_seconds: float

    def __add__(self, more: Took) -> Took:
        return Took(self.seconds + more.seconds, self.cpu_seconds + more.cpu_seconds)


def three_digits(value: float) -> str:
    """Format a number with three digits and no exponent: 0.0123, 1.23, 1230."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


@dataclass(frozen=True)
class TimedPicture:
    """A picture and its time.

    Attributes:
        label: for the table.
        picture: (rows, columns) float32; the corner of its first cell is that of the first camera pixel.
        pitch_nm: of its cells.
        took: from raw frames to the picture.
        about: parameters of the method.
        localizations: (N, 3) frame, y_nm, x_nm; None if the method makes none.
    """

    label: str
    picture: Array
    pitch_nm: float
    took: Took
    about: str
    localizations: Array | None = None


class _Clock:
    """Wall-clock and processor time since it was made.

    The device's work is waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._wall, self._cpu = device, time.perf_counter(), time.process_time()

    def took(self) -> Took:
        """Return the time until now."""
        synchronize(self._device)
        return Took(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def _ours(task: Task) -> Iterator[TimedPicture]:
    """Make pictures as the user gets them, and at each lower level.

    The live engine goes down these levels when it cannot keep up.
    """
    yield _ours_with("ours", task, task.settings)
    hurried = replace(task.settings, quality="fast")
    yield _ours_with("ours, fast", task, hurried)
    for estimate in ("emitters", "density"):
        settings = replace(hurried, estimate=estimate, scale=hurried.grid_scale)
        yield _ours_with(f"ours, fast, {estimate} alone", task, settings)


def _ours_with(label: str, task: Task, settings: Settings) -> TimedPicture:
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
    return TimedPicture(label, result.picture, settings.pixel_nm / result.scale, took, about, table)


def _paper(task: Task) -> Iterator[TimedPicture]:
    """Train the published model for 0, 1 and paper_epochs epochs.

    In one run with intermediate results.
    """
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
            yield TimedPicture(label, np.ascontiguousarray(sr, np.float32), pitch_nm, spent + clock.took(), about)


def _fista(task: Task) -> Iterator[TimedPicture]:
    clock = _Clock(task.device)
    model, y = learn_model(task.settings, task.raw, Compute(task.device)), _photons(task)
    background, total = smooth_background(y), torch.zeros_like(model.operators.imaging.norm)
    for part in batches(len(y), total):
        total += fista(model.operators.imaging, y[part], background).sum(0)
    psf = model.calibration.psf
    about = f"every frame, {FISTA_ITERATIONS} iterations, penalty {FISTA_PENALTY:g}; {psf}; sum over frames"
    yield _made("FISTA", model.grid.crop(total), task, clock, about)


def _richardson_lucy(task: Task) -> Iterator[TimedPicture]:
    clock = _Clock(task.device)
    model, y = learn_model(task.settings, task.raw, Compute(task.device)), _photons(task)
    x = richardson_lucy(model.operators.imaging, y.mean(0), smooth_background(y))
    about = f"of the mean frame, {RL_ITERATIONS} iterations; {model.calibration.psf}"
    yield _made("Richardson-Lucy", model.grid.crop(x), task, clock, about)


def _sofi2(task: Task) -> Iterator[TimedPicture]:
    clock = _Clock(task.device)
    sr = torch.from_numpy(sofi2(_photons(task), task.settings.grid_scale))
    yield _made("SOFI2", sr, task, clock, "cross-cumulants on virtual pixels (XC-SOFI2), cubic splines between them")


def _std(task: Task) -> Iterator[TimedPicture]:
    clock = _Clock(task.device)
    yield _made("temporal std", temporal_std(_photons(task)), task, clock, "of every camera pixel")


def _mean(task: Task) -> Iterator[TimedPicture]:
    clock = _Clock(task.device)
    yield _made("widefield", _photons(task).mean(0), task, clock, "mean frame on camera pixels")


METHODS: dict[str, Callable[[Task], Iterator[TimedPicture]]] = {
    "ours": _ours,
    "paper": _paper,
    "fista": _fista,
    "richardson-lucy": _richardson_lucy,
    "sofi2": _sofi2,
    "std": _std,
    "widefield": _mean,
}


def _photons(task: Task) -> Tensor:
    """Convert to photons of equal brightness, as ours does: (T, H, W)."""
    settings = task.settings
    camera = calibrate(task.raw, settings.offset_adu, settings.gain_adu_per_electron)
    y = torch.as_tensor(camera.photons(task.raw)).to(task.device)
    return y / frame_gains(y)


def _made(label: str, sr: Tensor, task: Task, clock: _Clock, about: str) -> TimedPicture:
    """Wrap a picture of the whole field; its pitch follows from its size."""
    array = np.ascontiguousarray(sr.cpu().numpy(), np.float32)
    pitch_nm = task.settings.pixel_nm * task.raw.shape[1] / array.shape[0]
    return TimedPicture(label, array, pitch_nm, clock.took(), about)
