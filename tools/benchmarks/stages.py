"""Time of every stage of a window, and its work, counted.

The counter is benchmarks.tally, what a device could do at best benchmarks.roofline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.roofline import MeasuredWindow, StageCost, StageFigures, ceilings_of, times
from benchmarks.tally import Tally
from selfstorm.baselines.self_storm_2024 import PaperModel, PaperSettings, normalise, picture, train
from selfstorm.calibration.differentiable_psf import parameters
from selfstorm.calibration.finetuning_loss import Half, Loss
from selfstorm.compute.batching import BatchLimits, frames_together, free_bytes
from selfstorm.compute.cuda_graphs import Graphs
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
        fast_s = min(times(lambda: run(EMITTER_SETTINGS["fast"].iterations), device, 2))
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
    seconds = min(times(work, device))
    with Tally() as tally:
        work()
    return seconds, float(tally.flops), float(tally.bytes), float(tally.launches), float(tally.waits)


def _per_iteration(few: Cost, more: Cost, frames: int) -> Cost:
    seconds, *counted = ((b - a) / (MORE - FEW) / frames for a, b in zip(few, more, strict=True))
    return cast(Cost, (max(seconds, 1e-9), *counted))  # on a busy machine the difference may be negative
