"""Reconstruct a window: the order of its steps.

Preview, optics, averaging plan, number of iterations, density (A). Its picture follows in `window_picture`:
background, emitters (B), localizations (C), and one picture of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from selfstorm.metrics.self_consistency import shows_structure
from selfstorm.reconstruction import Reconstruction
from selfstorm.stages.covariances import WindowStatistics, statistics_of
from selfstorm.stages.density import PREVIEW_ITERATIONS, QUICK_ITERATIONS, cold_iterations, density, warmed
from selfstorm.stream.after_picture import accumulated
from selfstorm.stream.covariance_history import Selection
from selfstorm.stream.density_choice import choice_of, selection_of
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.iteration_choice import IterationChoice
from selfstorm.stream.memory_plan import MAX_TUNING_FRAMES
from selfstorm.stream.model import SequenceModel, update_psf
from selfstorm.stream.newest_frame import shows_motion
from selfstorm.stream.per_frame import NO_CALLBACKS, ProgressCallbacks
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.window import WindowFrames
from selfstorm.stream.window_light import WindowDensity
from selfstorm.stream.window_picture import draw_window

Preview = Callable[[Reconstruction], None]
Selected = tuple[Selection, WindowStatistics]


def reconstruct_window(
    model: SequenceModel,
    span: WindowSpan,
    level: ProcessingLevel | None = None,
    callbacks: ProgressCallbacks = NO_CALLBACKS,
    preview: Preview | None = None,
) -> tuple[SequenceModel, Reconstruction]:
    """Reconstruct the window of all ingested frames from span.first on.

    Same model, same frames, same level, same device: same picture, bit for bit.

    Args:
        model: model that has ingested the window's frames.
        span: position of the window in its stream.
        level: less than the settings ask for, to save time.
        callbacks: callbacks of progress.
        preview: called with a density as soon as there is one: of a known scene, before the PSF, the averaging plan and
            the number of iterations are updated.

    Returns:
        The model that has learned from the window, and its picture.

    Raises:
        TooFewFramesError: too few of the frames are valid.
        FloatingPointError: the picture is not finite.
    """
    level, model = level or model.settings.level, accumulated(model)
    with torch.inference_mode():
        window = WindowFrames.of(model.state.buffer, model.state.rejected, span, model.state.gains)
        callbacks.mark("window")
        if level.quick:
            preview = None
        # of a known scene a preview waits for nothing that it can do without
        known_scene = model.state.density is not None and model.state.history.plan is not None
        shown = None
        if preview is not None and known_scene:
            shown = _show_preview(model, window, span, level, callbacks, preview)
        fit = None
        model = model.with_state(psf_learning=model.state.psf_learning.assessed(model.settings))
        if level.optics:
            model, fit = update_psf(model, window.newest(MAX_TUNING_FRAMES))
        callbacks.mark("optics")
        if not level.quick:
            model = model.with_state(history=model.state.history.planned(model.operators.graphs))
        callbacks.mark("averaging")
        selection, statistics = _selected(model, window, span.stride, level, shown)
        if not level.quick:
            model = model.with_state(iteration_choice=_choice(model, selection, statistics))
            callbacks.mark("held out")
        if preview is not None and not known_scene:
            _show_preview(model, window, span, level, callbacks, preview)
        iterations, empty = _iterations(model, window, statistics)
        if level.quick:
            iterations = min(QUICK_ITERATIONS, iterations)
        m = density(model.operators.covariance, statistics, iterations, None, model.operators.graphs)
        callbacks.mark("density")
        known = WindowDensity(m, iterations, selection, span.stride, empty)
        model, result = draw_window(model, window, known, level, callbacks)
    return model.with_state(density=m), replace(result, fit=fit)


def _show_preview(
    model: SequenceModel,
    window: WindowFrames,
    span: WindowSpan,
    level: ProcessingLevel,
    callbacks: ProgressCallbacks,
    preview: Preview,
) -> Selected:
    """Show a first picture, made of the density after few iterations.

    Args:
        model: model of the field, with the PSF, the averaging plan and the number of iterations to use.
        window: frames of the window.
        span: position of the window in its stream.
        level: of the refined picture.
        callbacks: callbacks of progress.
        preview: called with the picture.

    Returns:
        What the density was made from.
    """
    selection, statistics = _selected(model, window, span.stride, level)
    iterations, empty = _iterations(model, window, statistics)
    few = min(PREVIEW_ITERATIONS, iterations)
    # Added to those of the density before, they would be too many where few are confirmed.
    start = warmed(model.state.density) if iterations > 2 * PREVIEW_ITERATIONS else None
    m = density(model.operators.covariance, statistics, few, start, model.operators.graphs)
    known = WindowDensity(m, few, selection, span.stride, empty)
    preview(draw_window(model, window, known, level.preview, callbacks)[1])
    callbacks.mark("preview")
    return selection, statistics


def _selected(
    model: SequenceModel, window: WindowFrames, stride: int, level: ProcessingLevel, shown: Selected | None = None
) -> Selected:
    """Select the covariances of stage A; return them and their statistics.

    Those of the preview shown before are not computed again where the new plan adds up the same blocks.
    """
    history = model.state.history
    at_newest = model.settings.motion == "corrected" and shows_motion(history)
    selection = selection_of(history, window.numbers, stride, level, at_newest=at_newest)
    if shown is not None and selection.adds_up_as(shown[0]):
        return selection, shown[1]
    return selection, statistics_of(selection.sums(), window.mean)


def _iterations(model: SequenceModel, window: WindowFrames, statistics: WindowStatistics) -> tuple[int, bool]:
    """Return the number of iterations, and whether nothing blinks in focus."""
    choice = model.state.iteration_choice
    dark = choice.nothing_blinks(statistics.peak_z) and not shows_structure(window.seen)
    empty = dark or model.state.psf_learning.out_of_focus
    return choice.iterations(cold_iterations(statistics.frames)), empty


def _choice(model: SequenceModel, selection: Selection, statistics: WindowStatistics) -> IterationChoice:
    """Choose the number of iterations by held-out frames, where it is due."""
    operators = model.operators
    known = model.state.iteration_choice
    return choice_of(known, selection, statistics, lambda: operators.of_held_out, operators.graphs)
