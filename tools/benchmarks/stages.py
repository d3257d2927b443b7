"""Time of every stage of a window, compared with the device's limits.

Work is counted (benchmarks.tally), ceilings are measured in the same run: a copy for the memory, a matrix
product for arithmetic. No stage can be faster than the slower of bytes / copy and operations / product allow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.tally import Tally
from selfstorm.baselines.self_storm_2024 import PaperModel, PaperSettings, normalise, picture, train
from selfstorm.calibration.differentiable_psf import parameters
from selfstorm.calibration.finetuning_loss import Half, Loss
from selfstorm.compute.batching import BatchLimits, frames_together, free_bytes
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.compute.device import synchronize
from selfstorm.frames import Array
from selfstorm.physics.camera import calibrate
from selfstorm.psf.models import Gaussian
from selfstorm.reconstruction import Reconstruction
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stages.emitters import EMITTER_SETTINGS, EMITTERS
from selfstorm.stages.pipeline import STAGES
from selfstorm.stages.stage import Run, Sample, Stage
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.instrument import Calibration
from selfstorm.stream.memory_plan import plan
from selfstorm.stream.model import SequenceModel, model_of
from selfstorm.stream.settings import Settings
from selfstorm.stream.unrolled_stream import UnrolledStream

STRIDE = 25
TILE_PX = 64  # simulated; larger fields are made of copies
SCENE: dict[str, Any] = {"density": 5.0, "photons": 1200.0, "on_frames": 1.5, "seed": 41}
PSF = Gaussian(110.0)
SETTINGS = Settings(100.0, PSF, 100.0, 4.0, quality="fast", tuning_steps=0)
FEW, MORE = 2, 8  # iterations
REPEATS = 5
LARGE = {"cuda": (2**28, 8192), "mps": (2**26, 4096), "cpu": (2**25, 1024)}  # numbers copied, side of the product


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Measured limits of a device.

    Attributes:
        copy_bytes_s: bytes per second of a copy, reading and writing counted.
        product_flops_s: float32 operations per second of a matrix product.
    """

    copy_bytes_s: float
    product_flops_s: float


@dataclass(frozen=True, slots=True)
class StageCost:
    """Time and work of one unit of a stage, such as an iteration.

    Attributes:
        side_px: of the field.
        stage: name.
        unit: name.
        seconds: measured.
        flops: counted operations.
        bytes: counted bytes read and written.
        launches: counted kernels, as a graphics card would run it.
        waits: counted times that the host waits for the device.
        least_bytes: bytes if each input were read once and each output written once; 0 where a stage does not say.
    """

    side_px: int
    stage: str
    unit: str
    seconds: float
    flops: float
    bytes: float
    launches: float = 0.0
    waits: float = 0.0
    least_bytes: float = 0.0

    def limit_seconds(self, ceilings: Ceilings) -> float:
        """Return the seconds at the slower of both ceilings."""
        return max(self.flops / ceilings.product_flops_s, self.bytes / ceilings.copy_bytes_s)

    def share(self, ceilings: Ceilings) -> float:
        """Return the share of the device's best speed, 0..1.

        It may exceed 1: data that fit a cache are read faster than from memory.
        """
        return self.limit_seconds(ceilings) / self.seconds

    def least_share(self, ceilings: Ceilings) -> float:
        """Return the share of the speed at the least bytes, 0..1."""
        limit_s = max(self.flops / ceilings.product_flops_s, self.least_bytes / ceilings.copy_bytes_s)
        return limit_s / self.seconds


@dataclass(frozen=True, slots=True)
class MeasuredWindow:
    """Seconds of whole windows.

    Attributes:
        side_px: of the field.
        frames: of the window.
        first_picture_s: from the first window's frames to its density, including making the model.
        cold_s: likewise to its refined picture.
        stride_s: one more stride of 25 frames.
        emitters_hz: frames per second through stage B alone, fast.
        paper_s: the published model on the first window, one epoch and its picture; None if not measured.
        planned_bytes: of device memory.
        peak_bytes: of device memory used, on CUDA.
    """

    side_px: int
    frames: int
    first_picture_s: float
    cold_s: float
    stride_s: float
    emitters_hz: float
    paper_s: float | None
    planned_bytes: int
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class StageFigures:
    """Figures of one run.

    Attributes:
        ceilings: of the device.
        stages: cost of each stage and field.
        windows: cost of whole windows of each field.
    """

    ceilings: Ceilings
    stages: tuple[StageCost, ...]
    windows: tuple[MeasuredWindow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON, with those that follow from them."""
        stages = [
            {
                **asdict(cost),
                "limit_seconds": cost.limit_seconds(self.ceilings),
                "share": cost.share(self.ceilings),
                "least_share": cost.least_share(self.ceilings),
            }
            for cost in self.stages
        ]
        return {"ceilings": asdict(self.ceilings), "stages": stages, "windows": [asdict(cost) for cost in self.windows]}

    def table(self) -> list[list[str]]:
        """Return a header and a row per stage."""
        rows = [["stage", "field", "time ms", "Mflop", "MB", "least MB", "limit ms", "share", "bound by"]]
        for cost in self.stages:
            limit = cost.limit_seconds(self.ceilings)
            memory = cost.bytes / self.ceilings.copy_bytes_s >= limit
            numbers = [1e3 * cost.seconds, cost.flops / 1e6, cost.bytes / 1e6, cost.least_bytes / 1e6, 1e3 * limit]
            rows.append(
                [
                    f"{cost.stage}, a {cost.unit}",
                    f"{cost.side_px} px",
                    *(f"{number:.3g}" for number in numbers),
                    f"{cost.share(self.ceilings):.0%}",
                    "memory" if memory else "arithmetic",
                ]
            )
        return rows


def measure(
    sides_px: tuple[int, ...], frames: int, device: torch.device, say: Callable[[str], None] = lambda line: None
) -> StageFigures:
    """Measure all stages and whole windows.

    Args:
        sides_px: of the fields; the published model is measured on the first alone.
        frames: of a window.
        device: to measure.
        say: called with a line for every field.
    """
    ceilings = ceilings_of(device)
    say(f"copy {ceilings.copy_bytes_s / 1e9:.3g} GB/s, matrix product {ceilings.product_flops_s / 1e9:.4g} Gflop/s")
    tile = tile_of(frames + STRIDE)
    stages, windows = [tuning_cost(tile[:frames])], []
    for side_px in sides_px:
        copies = -(-side_px // TILE_PX)
        raw = np.tile(tile, (1, copies, copies))[:, :side_px, :side_px]
        stages += stage_costs(raw[:frames], device)
        windows.append(window_cost(raw, frames, device, with_paper=side_px == sides_px[0]))
        say(f"{side_px} px: {STRIDE / windows[-1].stride_s:.3g} frames/s, stage B {windows[-1].emitters_hz:.3g}")
    return StageFigures(ceilings, tuple(stages), tuple(windows))


def ceilings_of(device: torch.device) -> Ceilings:
    """Measure the ceilings of a device, the best of some tries."""
    numbers, side = LARGE[device.type]
    there, here = torch.zeros(numbers, device=device), torch.ones(numbers, device=device)
    copy_s = min(_times(lambda: there.copy_(here), device))
    a, b = torch.ones(side, side, device=device), torch.ones(side, side, device=device)
    product_s = min(_times(lambda: a @ b, device))
    return Ceilings(2 * 4 * numbers / copy_s, 2 * side**3 / product_s)


def stage_costs(raw: Array, device: torch.device) -> Iterator[StageCost]:
    """Measure one unit of every stage, such as an iteration for one frame."""
    model = model_of(SETTINGS, _known(raw), Compute(device))
    side_px = raw.shape[1]
    with torch.inference_mode():
        y = torch.as_tensor(model.calibration.photons(raw)).to(device)

        operators = model.operators
        for stage in STAGES:
            frames = y[: _frames_together(model, len(y))] if stage.batched else y
            sample = Sample(model.calibration.psf, operators.imaging, operators.covariance, frames.clamp(min=1.0))
            cost = _unit_cost(stage, sample, operators.graphs, device)
            least = stage.unit_bytes(operators.imaging.grid, len(frames)) if stage.unit_bytes else 0
            yield StageCost(side_px, stage.name, stage.unit, *cost, least_bytes=least)


def tuning_cost(raw: Array) -> StageCost:
    """Measure a step of fine-tuning, loss and gradient.

    Always on the CPU and on 64 x 64 pixels, however large the field.
    """
    y = torch.as_tensor((raw.astype(np.float32) - 100.0) / 4.0)
    psf = Gaussian(125.0)
    with torch.inference_mode(False), torch.enable_grad():
        loss, theta = Loss(Half(y, y, SETTINGS.pixel_nm), psf, SETTINGS.pixel_nm), parameters(psf)
        cost = _cost(lambda: loss(theta), torch.device("cpu"))
    return StageCost(raw.shape[1], "fine-tuning, on the CPU", "step", *cost)


def window_cost(raw: Array, frames: int, device: torch.device, *, with_paper: bool) -> MeasuredWindow:
    """Measure whole windows as the live engine makes them.

    The first window, including making the model, and one stride more.
    """
    side_px, shown = raw.shape[1], []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    def preview(result: Reconstruction) -> None:
        shown.append(time.perf_counter())

    begin = time.perf_counter()
    model = UnrolledStream.learned_from(SETTINGS, raw[:frames], Compute(device))
    span = WindowSpan(np.arange(frames), 0, STRIDE)
    model.ingest(raw[:frames], span)
    model.picture(span, preview=preview)
    done = time.perf_counter()
    newer = np.arange(frames, frames + STRIDE)
    model.ingest(raw[newer], WindowSpan(newer, STRIDE, STRIDE))
    model.picture(WindowSpan(np.arange(STRIDE, frames + STRIDE), STRIDE, STRIDE))
    stride_s = time.perf_counter() - done
    operators = model.learned.operators
    needed = plan(
        operators.imaging, operators.covariance, frames, BatchLimits.on(device), free_bytes(device), new_frames=frames
    )
    with torch.inference_mode():
        y = torch.as_tensor(model.learned.calibration.photons(raw[:frames])).to(device)
        batch = y[: _frames_together(model.learned, len(y))].clamp(min=1.0)
        run = _captured(EMITTERS, Sample(PSF, operators.imaging, operators.covariance, batch), operators.graphs)
        fast_s = min(_times(lambda: run(EMITTER_SETTINGS["fast"].iterations), device, 2))
    return MeasuredWindow(
        side_px,
        frames,
        shown[0] - begin,
        done - begin,
        stride_s,
        len(batch) / fast_s,
        _paper_seconds(raw[:frames], device) if with_paper else None,
        needed.peak,
        torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    )


def _paper_seconds(raw: Array, device: torch.device) -> float:
    begin = time.perf_counter()
    stack, model = normalise(raw), PaperModel(PaperSettings()).to(device)
    train(model, stack, -(-len(stack) // model.settings.batch))
    picture(model, stack)
    return time.perf_counter() - begin


def tile_of(frames: int) -> Array:
    """Simulate frames (T, TILE_PX, TILE_PX) ADU of a tile of larger fields."""
    scene = Scene(height=TILE_PX, width=TILE_PX, filaments=TILE_PX // 6, **SCENE)
    return np.stack([pixels for pixels, _ in simulate(scene, frames=frames)])


def _known(raw: Array) -> Calibration:
    """Return the PSF and camera of the settings, without learning any."""
    return Calibration(PSF, calibrate(raw[:8], 100.0, 4.0), np.zeros(raw.shape[1:], bool))


def _frames_together(model: SequenceModel, frames: int) -> int:
    """Return the frames of one batch, as planned."""
    grid, device = model.grid, model.compute.device
    limits = plan(
        model.operators.imaging, model.operators.covariance, frames, BatchLimits.on(device), free_bytes(device)
    ).limits
    return frames_together(grid.cells[0] * grid.cells[1], limits.map_bytes)


def _captured(stage: Stage, sample: Sample, graphs: Graphs) -> Run:
    """Prepare a stage, as a CUDA graph where the engine makes one."""
    run = stage.prepare(sample)
    if not stage.captured:
        return run

    def replayed(iterations: int) -> Tensor:
        def once(y: Tensor) -> Tensor:
            return cast(Tensor, run(iterations))

        return graphs.run((stage.name, iterations), once, sample.y)

    return replayed


Cost = tuple[float, float, float, float, float]


def _unit_cost(stage: Stage, sample: Sample, graphs: Graphs, device: torch.device) -> Cost:
    """Return seconds, operations, bytes, launches and waits of one unit.

    The cost of an iteration is the difference between more and fewer of them.
    """
    run, frames = _captured(stage, sample, graphs), len(sample.y) if stage.per_frame else 1
    if not stage.iterates:
        once = _cost(partial(run, 0), device)
        return cast(Cost, tuple(number / frames for number in once))
    few, more = (_cost(partial(run, iterations), device) for iterations in (FEW, MORE))
    return _per_iteration(few, more, frames)


def _cost(work: Callable[[], object], device: torch.device) -> Cost:
    """Return seconds, operations, bytes, launches and waits of one call.

    The best time of some calls, then counted in one more.
    """
    seconds = min(_times(work, device))
    with Tally() as tally:
        work()
    return seconds, float(tally.flops), float(tally.bytes), float(tally.launches), float(tally.waits)


def _per_iteration(few: Cost, more: Cost, frames: int) -> Cost:
    seconds, *counted = ((b - a) / (MORE - FEW) / frames for a, b in zip(few, more, strict=True))
    return cast(Cost, (max(seconds, 1e-9), *counted))  # on a busy machine the difference may be negative


def _times(work: Callable[[], object], device: torch.device, repeats: int = REPEATS) -> list[float]:
    """Return the seconds of each of some calls, after one to warm up."""
    work()
    took = []
    for _ in range(repeats):
        synchronize(device)
        begin = time.perf_counter()
        work()
        synchronize(device)
        took.append(time.perf_counter() - begin)
    return took
