"""Picture of a window: the order of its steps.

Light of the mean frame, emitters (B, C), drawing, record. The accumulated picture and, where pictures are known to show
something, the check of their claims wait until it is out.
"""

from __future__ import annotations

from dataclasses import replace

from selfstorm.compute.fetch import fetch
from selfstorm.metrics.self_consistency import assess_imaged, imaged_again, resampled
from selfstorm.metrics.typical_localization import typical_columns, typical_localization
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.accumulation import newly_localized
from selfstorm.stream.claimed_window import ClaimedWindow
from selfstorm.stream.claims import with_checked_claims
from selfstorm.stream.emitter_search import EmitterSearch, search_emitters, wanted_of
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.new_emitters import NewEmitters
from selfstorm.stream.per_frame import ProgressCallbacks, localizations_of
from selfstorm.stream.picture_record import MeanLight, Provenance, evidence_on, finite_picture, record
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.window import WindowFrames
from selfstorm.stream.window_drawing import WindowDrawing, draw_density, draw_emitters
from selfstorm.stream.window_light import WindowDensity, WindowLight


def draw_window(
    model: SequenceModel,
    window: WindowFrames,
    known: WindowDensity,
    level: ProcessingLevel,
    callbacks: ProgressCallbacks,
) -> tuple[SequenceModel, Reconstruction]:
    """Make the picture of a density and of the window's frames.

    Args:
        model: Model of the field, its history planned.
        window: Frames of the window.
        known: The density.
        level: Extent of the processing.
        callbacks: Callbacks of progress.

    Returns:
        The model with the emitters found, the localizations that show motion and what waits until the picture is out;
        and the picture.
    """
    light, wanted, search = WindowLight.of(model, window, known), wanted_of(level), None
    if wanted is not None:
        search = search_emitters(model, window, known, light, level, wanted, callbacks)
        model = model.with_state(buffer=search.blocks)
    if search is None or level.estimate == "density":
        drawing = draw_density(model, window, known, light)
    else:
        # at a reduced level, only blocks from before it have localizations: those of a part of the frames
        found = localizations_of(search.blocks) if level.estimate == "fused" else None
        if found is not None:
            model = model.with_state(
                recent=model.state.recent.with_window(found, window.first, int(window.numbers[-1]))
            )
        drawing = draw_emitters(model, window, known, light, search, found)
    callbacks.mark("drawing")
    claimed, checked = _claimed(model, window, known, light, search, drawing, level), None
    if claimed is None:
        model = model.with_state(claims=model.state.claims.passed())
    elif model.state.claims.before_picture:
        model, checked = with_checked_claims(model, claimed)
        callbacks.mark("claims")
        claimed = None
    new_emitters = None
    if search is not None:
        new = newly_localized(window.blocks, search.blocks)
        new_emitters = NewEmitters(new, search.emitters, len(window), checked, claimed)
    model = model.with_state(new_emitters=new_emitters)
    if model.state.claims.nothing_real:
        drawing = drawing.emptied()
    looked_at = 0 if search is None else search.looked_at
    result = _recorded(model, window, known, drawing, looked_at, level)
    callbacks.mark("quality")
    return model, result


def _claimed(
    model: SequenceModel,
    window: WindowFrames,
    known: WindowDensity,
    light: WindowLight,
    search: EmitterSearch | None,
    drawing: WindowDrawing,
    level: ProcessingLevel,
) -> ClaimedWindow | None:
    """Return the window for a check of its claims, where that is due."""
    found, due = drawing.found, level.claims and level.measure_quality and model.state.claims.due
    if not due or search is None or found is None or not len(found):
        return None
    return ClaimedWindow(
        window, search.emitters, light.background, found, known.stride, known.iterations, level.quality
    )


def _recorded(
    model: SequenceModel,
    window: WindowFrames,
    known: WindowDensity,
    drawing: WindowDrawing,
    looked_at: int,
    level: ProcessingLevel,
) -> Reconstruction:
    """Measure the picture of a drawing and record what it was made from.

    Args:
        model: Model that has learned from the window, its density still that of the window before.
        window: Frames of the window.
        known: Density of the window.
        drawing: What is shown of it.
        looked_at: Frames whose emitters were searched for it.
        level: Extent of the processing.
    """
    settings, calibration, state, grid = model.settings, model.calibration, model.state, model.grid
    drawing = drawing.outside(calibration.mask, settings.pixel_nm)
    parts, focus = drawing.parts, state.psf_learning.focus
    picture = resampled(drawing.picture, grid.height * settings.scale)
    imaged = picture.new_zeros(0)
    if level.measure_quality:
        imaged = imaged_again(picture, parts.total, model.operators.imaging, grid)
    columns = typical_columns(parts.found, repeated=level.measure_quality)
    of_frames = drawing.mean, window.seen, drawing.expected, drawing.background
    picture, imaged, seen, columns, *on_host = fetch(picture, imaged, parts.seen, columns, *of_frames)
    light = MeanLight(*on_host)
    shown = finite_picture(model, picture.numpy())
    consistency = assess_imaged(imaged, seen, light.background) if level.measure_quality else None
    moving_share = 0.0 if parts.corrected else parts.frames / len(window)
    evidence = replace(
        evidence_on(model, window, picture, light, consistency, known.iterations, moving_share),
        localizations=parts.found,
        claims=state.claims.evidence,
        blinking_nm=focus.blinking_sigma_nm if focus is not None and focus.lost else None,
        width_nm=None if focus is None else focus.blinking_sigma_nm,
        drift_nm=state.accumulation.drift_nm,
        typical=typical_localization(columns.numpy()),
    )
    known_scene = state.density is not None
    made = Provenance(known_scene, known.iterations, looked_at, parts.motion, known.empty, parts.notes)
    return record(model, window, level, shown, evidence, made, drawing.found)
