"""Reconstruct a window: density (A), background, emitters (B), localisations (C), and one picture of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.metrics.picture_metrics import PictureEvidence
from selfstorm.metrics.registry import METRICS
from selfstorm.metrics.self_consistency import assess, resampled
from selfstorm.physics.background import fit_background
from selfstorm.reconstruction import Reconstruction, State
from selfstorm.stages.covariances import Sums, statistics_of
from selfstorm.stages.density import PREVIEW_ITERATIONS, QUICK_ITERATIONS, cold_iterations, density, warmed
from selfstorm.stages.rendering import fuse, render
from selfstorm.stages.static_emitters import static_emitters
from selfstorm.stream.covariance_history import CovarianceHistory
from selfstorm.stream.frame_store import FrameBuffer, WindowSpan, with_slices
from selfstorm.stream.model import SequenceModel, update_psf
from selfstorm.stream.per_frame import NO_CALLBACKS, Illumination, ProgressCallbacks, localizations_of, localize_block
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.window import WindowFrames

MIN_BACKGROUND = 1e-2  # photons
MAX_TUNING_FRAMES = 400  # more of them tell no more of the optics in one window

Preview = Callable[[Reconstruction], None]


def reconstruct_window(
    model: SequenceModel,
    span: WindowSpan,
    level: ProcessingLevel | None = None,
    callbacks: ProgressCallbacks = NO_CALLBACKS,
    preview: Preview | None = None,
) -> tuple[SequenceModel, Reconstruction]:
    """Reconstruct the window of all frames from span.first on that the model has ingested.

    Same model, same frames, same level, same device: same picture, bit for bit.

    Args:
        model: that has ingested the window's frames.
        span: position of the window in its stream.
        level: less than the settings ask for, to save time.
        callbacks: of progress.
        preview: called with the density as soon as there is one.

    Returns:
        The model that has learned from the window, and its picture.

    Raises:
        TooFewFramesError: too few of the frames are valid.
        FloatingPointError: the picture is not finite.
    """
    level = level or model.settings.level
    with torch.inference_mode():
        window = WindowFrames.of(model.state, span)
        callbacks.mark("window")
        fit = None
        if level.optics:
            model, fit = update_psf(model, window.newest(MAX_TUNING_FRAMES))
        callbacks.mark("optics")
        history = model.state.history if level.quick else model.state.history.planned()
        callbacks.mark("memory")
        covariance, graphs = model.operators.covariance, model.operators.graphs
        statistics = statistics_of(_sums(history, window, span.stride, level), window.mean)
        if preview is not None and not level.quick:
            m = density(covariance, statistics, PREVIEW_ITERATIONS, warmed(model.state.density), graphs)
            preview(_picture(model, window, history, m, level.preview, PREVIEW_ITERATIONS, callbacks)[1])
            callbacks.mark("preview")
        layers = QUICK_ITERATIONS if level.quick else cold_iterations(statistics.frames)
        m = density(covariance, statistics, layers, None, graphs)
        callbacks.mark("density")
        buffer, result = _picture(model, window, history, m, level, layers, callbacks)
    return model.with_state(density=m, history=history, buffer=buffer), replace(result, fit=fit)


def _sums(history: CovarianceHistory, window: WindowFrames, stride: int, level: ProcessingLevel) -> Sums:
    """Add up what stage A is computed from: all of the first window, later the history at the time of the picture."""
    if not history.older_than(int(window.numbers[0])):
        return history.everything()
    # as of the frames that emitters are found in; where the density is the picture, of the window
    whole = level.estimate == "density"
    middle = float((window.numbers if whole else window.numbers[-stride:]).mean())
    return history.at(middle, len(window) if whole else 0)


def _picture(
    model: SequenceModel,
    window: WindowFrames,
    history: CovarianceHistory,
    m: Tensor,
    level: ProcessingLevel,
    layers: int,
    callbacks: ProgressCallbacks,
) -> tuple[FrameBuffer, Reconstruction]:
    """Make the picture of a density m, (rows, columns), and the window's frames; return their blocks as well."""
    grid, settings, operators = model.grid, model.settings, model.operators
    imaged = operators.imaging.forward(m)
    brightness, background = fit_background(window.mean, imaged)
    seen, expected = window.mean, brightness * imaged + background
    picture, around, looked_at, found = grid.crop(m), m, 0, None
    buffer = model.state.buffer
    wanted = level.ahead if level.estimate == "density" else level.estimate
    if wanted is not None:
        emitters = brightness * m + static_emitters(operators.imaging, seen, expected, len(window), grid.scale)
        blocks = list(window.blocks)
        for number, (block, part) in enumerate(with_slices(window.blocks)):
            if level.ahead is None or number == len(blocks) - 1:
                smooth = (background + operators.out_of_focus.evaluate(window.smooth[part])).clamp(min=MIN_BACKGROUND)
                light = Illumination(emitters, smooth * window.gains[part], window.gains[part])
                blocks[number] = localize_block(model, block, light, wanted, level.quality, callbacks)
                looked_at += len(block) * (blocks[number] is not block)
        buffer = tuple(blocks)
    if level.estimate != "density":
        total, seen = torch.stack([block.total for block in buffer if block.total is not None]).sum(0), window.seen
        found, expected = localizations_of(buffer), _expected(operators.imaging.forward(total), buffer)
        picture, around = grid.crop(total), total
        if level.estimate == "fused" and found is not None:
            drawn = render(found, emitters, grid, len(window), settings.scale)
            picture = fuse(drawn, picture, found.crowding, settings.pixel_nm / settings.scale, len(window))
            callbacks.mark("drawing")
    picture = resampled(picture, grid.height * settings.scale)
    drawn_picture = picture.cpu().numpy()
    if not np.isfinite(drawn_picture).all():
        raise FloatingPointError("the reconstruction of this window is not finite")
    consistency = assess(picture, around, operators.imaging, grid, window.seen) if level.judged else None
    evidence = PictureEvidence(picture, seen, expected, background, len(window), grid, found, consistency)
    metrics = METRICS.measure("picture", evidence, costly=level.judged)
    if level.judged:
        callbacks.mark("quality")
    notes = _notes(model, found is not None and not len(found))
    if level.name != "preview":  # the refined picture that follows shows whether anything is wrong
        notes += METRICS.cautions(metrics, level.estimate, "" if level.name == "full" else level.name)
    return buffer, Reconstruction(
        picture=drawn_picture,
        raw_mean=window.raw_mean,
        scale=settings.scale,
        estimate=level.estimate,
        frames=len(window),
        looked_at=looked_at,
        state=_state(model, history),
        layers=layers,
        optics=str(model.calibration.psf),
        camera=str(model.calibration.camera),
        notes=notes + window.notes + history.notes(window.first, settings.pixel_nm),
        memory=history.describe(int(window.numbers[0])),
        psf=model.calibration.psf,
        localizations=found,
        metrics=metrics,
        error_map=None if consistency is None else consistency.error_map,
    )


def _state(model: SequenceModel, history: CovarianceHistory) -> State:
    if model.state.density is not None:
        return "warm"
    return "cold" if history.since < 0 else "scene changed"


def _expected(imaged: Tensor, blocks: FrameBuffer) -> Tensor:
    """Return the mean frame that the emitters of some blocks explain, each with the background it was found in.

    Where the sample bleaches, the background of earlier windows was another one than this window's.

    Args:
        imaged: (H, W) photons, all emitters of the blocks as the camera sees them.
        blocks: frames, their emitters found.
    """
    backgrounds = [len(block) * block.background for block in blocks if block.background is not None]
    return (imaged + torch.stack(backgrounds).sum(0)) / sum(map(len, blocks))


def _notes(model: SequenceModel, empty: bool) -> tuple[str, ...]:
    notes = [f"{part}" for part in (model.calibration.psf, model.calibration.camera) if "assumed" in part.origin]
    if hot := int(model.calibration.hot_pixels.sum()):
        notes.append(f"{hot} hot pixel{'s' * (hot > 1)} replaced by the neighbours")
    if empty:
        notes.append("no emitter stands out from the noise: the picture is empty")
    return tuple(notes)
