"""Reconstruct a window of a tiled field, as `stream.reconstruct` does.

Pictures are the density or the sum of the frames' emitter maps; nothing is localized.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.fetch import fetch
from selfstorm.frames import Array
from selfstorm.metrics.self_consistency import assess_imaged, shows_structure
from selfstorm.physics.background import fit_background
from selfstorm.physics.operators import PAD_PX, Grid, LaggedCovariance
from selfstorm.reconstruction import Reconstruction
from selfstorm.stages.covariances import statistics_of
from selfstorm.stages.density import QUICK_ITERATIONS, cold_iterations
from selfstorm.stages.held_out import grid_of_part
from selfstorm.stages.static_emitters import SIGNIFICANT_Z
from selfstorm.stream.density_choice import choice_of, selection_of
from selfstorm.stream.frame_store import FrameBuffer, WindowSpan, needs_emitters, numbers_of, since, with_slices
from selfstorm.stream.motion import displaced_map
from selfstorm.stream.newest_frame import AS_IT_LAY, shows_motion
from selfstorm.stream.per_frame import ProgressCallbacks
from selfstorm.stream.picture_record import MeanLight, Provenance, evidence_on, finite_picture, record
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.tiled.sequence import TiledSequence
from selfstorm.stream.window import WindowFrames, check_enough


def reconstruct_window(
    model: TiledSequence, span: WindowSpan, level: ProcessingLevel, callbacks: ProgressCallbacks
) -> tuple[TiledSequence, Reconstruction]:
    """Reconstruct the window of all ingested frames from span.first on.

    Args:
        model: model that has ingested the window's frames.
        span: position of the window in its stream.
        level: extent of the processing.
        callbacks: callbacks of progress.

    Returns:
        The model that has learned from the window, and its picture.

    Raises:
        TooFewFramesError: too few of the frames are valid.
        FloatingPointError: the picture is not finite.
    """
    with torch.inference_mode():
        state = model.state
        blocks = since(state.buffer, span.first)
        rejected = tuple(why for number, why in state.rejected if number >= span.first)
        check_enough(sum(map(len, blocks)), rejected)
        window = model.frames.window(blocks, span.first, rejected)
        callbacks.mark("window")
        history = state.history if level.quick else state.history.planned()
        callbacks.mark("averaging")
        at_newest = model.settings.motion == "corrected" and shows_motion(history)
        selection = selection_of(history, window.numbers, span.stride, level, at_newest=at_newest)
        statistics = statistics_of(selection.sums(), window.mean)
        choice = state.iteration_choice
        if not level.quick:
            choice = choice_of(choice, selection, statistics, partial(_operator_of_part, model, window.mean))
            callbacks.mark("held out")
        iterations = choice.iterations(cold_iterations(statistics.frames))
        if level.quick:
            iterations = min(QUICK_ITERATIONS, iterations)
        dark = choice.nothing_blinks(statistics.peak_z) and not shows_structure(window.seen)
        empty = dark or state.psf_learning.out_of_focus
        model.field.begin(statistics)
        del selection, statistics  # the maps of the iterations take their place
        seen = model.field.density(iterations, model.seen)
        callbacks.mark("density")
        known = replace(model, seen=seen).with_state(history=history, iteration_choice=choice)
        return _picture(known, window, level, iterations, callbacks, empty=empty, first=model.seen is None)


def _picture(
    model: TiledSequence,
    window: WindowFrames,
    level: ProcessingLevel,
    iterations: int,
    callbacks: ProgressCallbacks,
    *,
    empty: bool,
    first: bool,
) -> tuple[TiledSequence, Reconstruction]:
    """Make the picture of the density on the board and of the window's frames."""
    seen, field, settings = model.seen, model.field, model.settings
    if seen is None:
        raise ValueError("no density")
    history, follows = model.state.history, settings.motion == "corrected"
    at_now = follows and shows_motion(history) and history.older_than(window.first)
    brightness, background = fit_background(window.mean, seen.image, len(window), model.surfaces)
    expected, looked_at = brightness * seen.image + background, 0
    wanted = level.ahead if level.estimate == "density" else level.estimate
    picture, imaged = _scaled(field.picture(), 0.0 if empty else float(brightness)), brightness * seen.image
    blocks = window.blocks
    if wanted is not None and not empty:
        blocks, looked_at = _with_emitters(model, window, level, float(brightness), expected, background, callbacks)
        if not field.lost:  # else these frames are searched again
            older = (block for block in model.state.buffer if block.numbers[0] < window.first)
            model = model.with_state(buffer=(*older, *blocks))
    field.release()
    if level.estimate != "density":
        velocity = history.plan.velocity if follows and history.plan is not None else None
        at_now = velocity is not None and not empty
        picture, expected = _mean_of(blocks, model.grid, velocity, empty=empty)
        imaged = expected - background
    picture = finite_picture(model, picture)
    imaged, *of_frames = fetch(imaged, window.mean, window.seen, expected, background)
    light = MeanLight(*of_frames)
    consistency = assess_imaged(imaged, light.seen, light.background) if level.measure_quality else None
    shown = torch.as_tensor(picture)
    evidence = evidence_on(model, window, shown, light, consistency, iterations, 0.0 if at_now else 1.0)
    motion = f"moved to frame {int(window.numbers[-1])}" if at_now else AS_IT_LAY
    made = Provenance(not first, iterations, looked_at, motion, empty, field.notes())
    result = record(model, window, level, picture, evidence, made)
    callbacks.mark("quality")
    return model, result


def _with_emitters(
    model: TiledSequence,
    window: WindowFrames,
    level: ProcessingLevel,
    brightness: float,
    expected: Tensor,
    background: Tensor,
    callbacks: ProgressCallbacks,
) -> tuple[FrameBuffer, int]:
    """Find the emitters of the frames that were not searched before.

    Returns:
        The frames with the sums of their maps, and the number of frames searched.
    """
    field, grid, prior_frames = model.field, model.grid, model.state.history.frames
    error = (window.mean.clamp(min=0) / len(window)).sqrt()
    excess = (window.mean - expected - SIGNIFICANT_Z * error).clamp(min=0)
    binned = field.prior(brightness, excess, background)
    inside = binned[PAD_PX:-PAD_PX, PAD_PX:-PAD_PX]
    mean = max(float(inside.mean()) / grid.scale**2, 1e-12)
    start = float(binned.mean()) / grid.scale**2
    field.choose(model.frames.slots(window.numbers), window.gains)
    field.board.put("knots", window.smooth)
    blocks, looked_at = list(window.blocks), 0
    for number, (block, part) in enumerate(with_slices(window.blocks)):
        last = number == len(blocks) - 1
        if (level.ahead is None or last) and needs_emitters(block, localized=False, prior_frames=prior_frames):
            field.maps(part.start, part.stop, mean, start, best=level.quality == "best", seen=window.seen)
            total = field.map()
            light = (field.image() + field.light()) / len(block)
            blocks[number] = replace(block, total=total, background=light, prior_frames=prior_frames)
            looked_at += len(block)
        callbacks.mark("emitters")
        callbacks.advance(len(block))
    return tuple(blocks), looked_at


def _mean_of(blocks: FrameBuffer, grid: Grid, velocity: Tensor | None, *, empty: bool) -> tuple[Array, Tensor]:
    """Average the emitter maps of some blocks.

    Args:
        blocks: with their maps.
        grid: of the field.
        velocity: (2, H, W) pixels a frame, to move the maps to the newest frame; None to leave them where they are.
        empty: without emitters.

    Returns:
        The picture, and what the camera sees of it with its background, (H, W), both per frame.
    """
    numbers, total = numbers_of(blocks), torch.zeros(grid.cells)
    light = torch.zeros((grid.height, grid.width))
    for block in blocks:
        if empty or block.total is None or block.background is None:
            continue
        by = None if velocity is None else velocity.cpu() * (float(numbers[-1]) - float(block.numbers.mean()))
        total += displaced_map(block.total, by, grid)
        light += len(block) * block.background.cpu()
    return (grid.crop(total) / len(numbers)).numpy(), (light / len(numbers)).to(blocks[0].smooth.device)


def _operator_of_part(model: TiledSequence, like: Tensor) -> LaggedCovariance:
    return LaggedCovariance(model.calibration.psf, grid_of_part(model.grid), like)


def _scaled(picture: Array, brightness: float) -> Array:
    picture *= np.float32(brightness)
    return picture
