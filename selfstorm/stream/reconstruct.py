"""(model, window) -> picture: density (A), background, emitters (B), localisations (C), and one picture of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.errors import InputError
from selfstorm.frames import Array
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
from selfstorm.stream.frame_store import WindowSpan, spans
from selfstorm.stream.ingest import ingest
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.per_frame import Illumination, ProgressCallbacks, localizations_of, localize_block
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.window import LEAST_FRAMES, WindowFrames

LEAST_BACKGROUND = 1e-2  # photons
TUNING_FRAMES = 400  # more of them tell no more of the optics in one window
NOBODY = ProgressCallbacks()

Preview = Callable[[Reconstruction], None]


def reconstruct(
    model: SequenceModel,
    raw: Array,
    place: WindowSpan | None = None,
    effort: ProcessingLevel | None = None,
    callbacks: ProgressCallbacks = NOBODY,
    preview: Preview | None = None,
) -> Reconstruction:
    """Super-resolve one window and leave what was learned in the model.

    raw: (T, H, W) ADU, T >= 8, of the model's field. place: where it lies in its stream, so that frames already watched
    are not watched again; None for a window of its own. Same model, same window, same effort, same device: same
    picture, bit for bit.
    """
    grid = model.grid
    if raw.ndim != 3 or raw.shape[1:] != (grid.height, grid.width) or len(raw) < LEAST_FRAMES:
        raise InputError(
            f"a window of shape {raw.shape} where (T >= {LEAST_FRAMES}, {grid.height}, {grid.width}) belongs"
        )
    place = place or WindowSpan(np.arange(len(raw)) + model.last_number + 1, model.last_number + 1, len(raw))
    new = place.numbers > model.last_number
    if new.any():
        ingest(model, raw[new], replace(place, numbers=place.numbers[new]))
    return picture_of_window(model, place, effort, callbacks, preview)


def picture_of_window(
    model: SequenceModel,
    place: WindowSpan,
    effort: ProcessingLevel | None = None,
    callbacks: ProgressCallbacks = NOBODY,
    preview: Preview | None = None,
) -> Reconstruction:
    """The picture of the frames from place.first on that the model has watched.

    effort: less than the settings ask for, to save time. preview: handed the density as soon as there is one.
    """
    effort = effort or model.settings.effort
    with torch.inference_mode():
        window = WindowFrames.of(model, place)
        callbacks.mark("window")
        fit = model.update_psf(window.newest(TUNING_FRAMES)) if effort.optics else None
        callbacks.mark("optics")
        memory = model.memory if effort.quick else model.memory.planned()
        callbacks.mark("memory")
        statistics = statistics_of(_sums(memory, window, place.stride, effort), window.mean)
        if preview is not None and not effort.quick:
            m = density(model.covariance, statistics, PREVIEW_ITERATIONS, warmed(model.density), model.graphs)
            preview(_picture(model, window, memory, m, effort.preview, PREVIEW_ITERATIONS, callbacks))
            callbacks.mark("preview")
        layers = QUICK_ITERATIONS if effort.quick else cold_iterations(statistics.frames)
        m = density(model.covariance, statistics, layers, None, model.graphs)
        callbacks.mark("density")
        result = _picture(model, window, memory, m, effort, layers, callbacks)
    model.density, model.memory = m, memory
    return replace(result, fit=fit)


def _sums(memory: CovarianceHistory, window: WindowFrames, stride: int, effort: ProcessingLevel) -> Sums:
    """What stage A is made from: all of the first window; then what the memory holds of the time of its picture."""
    if not memory.older_than(int(window.numbers[0])):
        return memory.everything()
    # as of the frames that emitters are looked for in; where the density is the picture, of the window
    whole = effort.estimate == "density"
    middle = float((window.numbers if whole else window.numbers[-stride:]).mean())
    return memory.at(middle, len(window) if whole else 0)


def _picture(
    model: SequenceModel,
    window: WindowFrames,
    memory: CovarianceHistory,
    m: Tensor,
    effort: ProcessingLevel,
    layers: int,
    callbacks: ProgressCallbacks,
) -> Reconstruction:
    """The density m, (rows, columns), and what is made with it of the window's frames."""
    grid, settings = model.grid, model.settings
    imaged = model.imaging.forward(m)
    brightness, background = fit_background(window.mean, imaged)
    seen, expected = window.mean, brightness * imaged + background
    picture, around, looked_at, found = grid.crop(m), m, 0, None
    wanted = effort.ahead if effort.estimate == "density" else effort.estimate
    if wanted is not None:
        emitters = brightness * m + static_emitters(model.imaging, seen, expected, len(window), grid.scale)
        film = list(window.film)
        for number, (strip, part) in enumerate(spans(window.film)):
            if effort.ahead is None or number == len(film) - 1:
                smooth = (background + model.haze.drawn(window.smooth[part])).clamp(min=LEAST_BACKGROUND)
                light = Illumination(emitters, smooth * window.gains[part], window.gains[part])
                film[number] = localize_block(model, strip, light, wanted, effort.quality, callbacks)
                looked_at += len(strip) * (film[number] is not strip)
        model.film = tuple(film)
    if effort.estimate != "density":
        totals = [strip.total for strip in film if strip.total is not None]
        total, found = torch.stack(totals).sum(0), localizations_of(film)
        seen, expected = window.seen, model.imaging.forward(total) / len(window) + background
        picture, around = grid.crop(total), total
        if effort.estimate == "fused" and found is not None:
            drawn = render(found, emitters, grid, len(window), settings.scale)
            picture = fuse(drawn, picture, found.crowding, settings.pixel_nm / settings.scale, len(window))
            callbacks.mark("drawing")
    picture = resampled(picture, grid.height * settings.scale)
    drawn_picture = picture.cpu().numpy()
    if not np.isfinite(drawn_picture).all():
        raise FloatingPointError("the reconstruction of this window is not finite")
    consistency = assess(picture, around, model.imaging, grid, window.seen) if effort.judged else None
    evidence = PictureEvidence(picture, seen, expected, background, len(window), grid, found, consistency)
    metrics = METRICS.measure("picture", evidence, costly=effort.judged)
    if effort.judged:
        callbacks.mark("quality")
    notes = _notes(model, found is not None and not len(found))
    if effort.name != "preview":  # the refined picture that follows shows whether anything is wrong
        notes += METRICS.cautions(metrics, effort.estimate)
    return Reconstruction(
        picture=drawn_picture,
        raw_mean=window.raw_mean,
        scale=settings.scale,
        estimate=effort.estimate,
        frames=len(window),
        looked_at=looked_at,
        state=_state(model, memory),
        layers=layers,
        optics=str(model.psf),
        camera=str(model.camera),
        notes=notes + window.notes + memory.notes(window.first, settings.pixel_nm),
        memory=memory.said(int(window.numbers[0])),
        psf=model.psf,
        localizations=found,
        metrics=metrics,
        error_map=None if consistency is None else consistency.error_map,
    )


def _state(model: SequenceModel, memory: CovarianceHistory) -> State:
    if model.density is not None:
        return "warm"
    return "cold" if memory.since < 0 else "scene changed"


def _notes(model: SequenceModel, empty: bool) -> tuple[str, ...]:
    notes = [f"{part}" for part in (model.psf, model.camera) if "assumed" in part.origin]
    if hot := int(model.hot.sum()):
        notes.append(f"{hot} hot pixel{'s' * (hot > 1)} replaced by the neighbours")
    if empty:
        notes.append("no emitter stands out from the noise: the picture is empty")
    return tuple(notes)
