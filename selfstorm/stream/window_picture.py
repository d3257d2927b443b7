"""Picture of a window: density, emitters and localisations in one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.calibration.focus import widest_in_focus_nm
from selfstorm.localizations import Localizations
from selfstorm.metrics.picture_metrics import PictureEvidence
from selfstorm.metrics.registry import METRICS
from selfstorm.metrics.self_consistency import assess, resampled
from selfstorm.metrics.typical_localization import typical_localization
from selfstorm.physics.background import fit_background
from selfstorm.physics.masked import FieldMask
from selfstorm.reconstruction import Reconstruction, State
from selfstorm.stages.rendering import cells_together, fuse, render
from selfstorm.stages.static_emitters import static_emitters
from selfstorm.stream.accumulation import Accumulation, DrawingSettings, accumulate, newly_localized
from selfstorm.stream.claim_schedule import ClaimSchedule
from selfstorm.stream.claims import ClaimedWindow, check_claims, most_localized_part
from selfstorm.stream.covariance_history import CovarianceHistory, Selection
from selfstorm.stream.frame_store import FrameBuffer, with_slices
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.newest_frame import DrawnParts, density_parts, parts_at_newest_frame
from selfstorm.stream.per_frame import (
    Illumination,
    ProgressCallbacks,
    block_without_emitters,
    localizations_of,
    localize_block,
)
from selfstorm.stream.picture_notes import notes_on
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.window import WindowFrames

MIN_BACKGROUND = 1e-2  # photons
NONE_STANDS_OUT = "No emitter stands out from the noise; the picture is empty"


@dataclass(frozen=True)
class WindowDensity:
    """The density of a window, and what it was made from.

    Attributes:
        m: (rows, columns), the density.
        iterations: Its iterations.
        history: Covariances of the frames so far.
        selection: Those of them that it was computed from.
        stride: Frames until the next window.
        empty: Nothing blinks in focus, so that emitters are neither searched nor drawn.
    """

    m: Tensor
    iterations: int
    history: CovarianceHistory
    selection: Selection
    stride: int
    empty: bool


def draw_window(
    model: SequenceModel,
    window: WindowFrames,
    known: WindowDensity,
    level: ProcessingLevel,
    callbacks: ProgressCallbacks,
) -> tuple[SequenceModel, Reconstruction]:
    """Make the picture of a density and of the window's frames.

    Args:
        model: Model of the field.
        window: Frames of the window.
        known: The density.
        level: Extent of the processing.
        callbacks: Callbacks of progress.

    Returns:
        The model with the emitters found, the localisations that show motion and the evidence for what is claimed; and
        the picture.
    """
    m, iterations, history, empty = known.m, known.iterations, known.history, known.empty
    grid, settings, operators = model.grid, model.settings, model.operators
    imaged = operators.imaging.forward(m)
    brightness, background = fit_background(window.mean, imaged, len(window), operators.surfaces, operators.graphs)
    seen, expected = window.mean, brightness * imaged + background
    follows = settings.motion == "corrected"
    parts = DrawnParts(None, torch.zeros_like(m) if empty else brightness * m, m, window.seen, len(window))
    if follows and not empty:
        parts = density_parts(parts, known.selection, window, grid)
    looked_at, found, buffer, recent = 0, None, model.state.buffer, model.state.recent
    picture = grid.crop(parts.total)
    wanted = level.ahead if level.estimate == "density" else level.estimate
    if wanted is not None:
        variance = model.calibration.read_variance(seen)
        steady = static_emitters(operators.imaging, seen, expected, len(window), grid.scale, variance)
        emitters = brightness * m + steady
        blocks = list(window.blocks)
        for number, (block, part) in enumerate(with_slices(window.blocks)):
            if level.ahead is None or number == len(blocks) - 1:
                smooth = (background + operators.out_of_focus.evaluate(window.smooth[part])).clamp(min=MIN_BACKGROUND)
                light = Illumination(emitters, smooth * window.gains[part], window.gains[part])
                if empty:
                    blocks[number] = block_without_emitters(model, block, light, wanted, callbacks)
                else:
                    blocks[number] = localize_block(model, block, light, wanted, level.quality, callbacks)
                looked_at += len(block) * (blocks[number] is not block)
        buffer = tuple(blocks)
    if level.estimate != "density":
        seen, frames = window.seen, sum(map(len, buffer))
        around = torch.stack([block.total for block in buffer if block.total is not None]).sum(0) / frames
        found, expected = localizations_of(buffer), _expected(operators.imaging.forward(around), buffer)
        parts = DrawnParts(found, around, emitters, window.seen, frames)
        if found is not None:
            recent = recent.with_window(found, window.first, int(window.numbers[-1]))
        if follows and not empty:
            parts = parts_at_newest_frame(model.with_state(recent=recent), history, window, buffer, parts)
        picture = grid.crop(parts.total)
        if level.estimate == "fused" and parts.found is not None:
            cells = cells_together(model.compute.planned.map_bytes)
            drawn = render(parts.found, parts.emitters, grid, parts.frames, settings.scale, cells)
            cell_nm = settings.pixel_nm / settings.scale
            picture = fuse(drawn, picture, parts.found.crowding, cell_nm, parts.frames)
            callbacks.mark("drawing")
    claims = model.state.claims.passed()
    if level.claims and level.measure_quality and found is not None and len(found) and model.state.claims.due:
        claimed = ClaimedWindow(window, emitters, background, found, known.stride, iterations)
        claims = check_claims(model, history, claimed, level.quality)
        callbacks.mark("claims")
    new = newly_localized(window.blocks, buffer) if wanted == "fused" else ()
    accumulation = _accumulated(model, new, emitters, claims, len(window)) if new else model.state.accumulation
    callbacks.mark("drawing")
    if found is not None and claims.nothing_real:
        found, picture = found.where(torch.zeros_like(found.frame, dtype=torch.bool)), picture * 0
        parts = replace(parts, found=found, total=parts.total * 0)
    picture = resampled(picture, grid.height * settings.scale)
    mask = model.calibration.mask
    drawn_picture = mask.blank(picture.cpu().numpy(), settings.scale)
    if not np.isfinite(drawn_picture).all():
        raise FloatingPointError("the reconstruction of this window is not finite")
    consistency = None
    if level.measure_quality:
        consistency = assess(picture, parts.total, operators.imaging, grid, parts.seen, background)
    if found is not None and mask.masked is not None:
        found = _unmasked(found, mask, settings.pixel_nm)
        parts = replace(parts, found=found)
    verdict = model.state.iteration_choice.verdict
    evidence = PictureEvidence(
        picture,
        seen,
        expected,
        background,
        len(window),
        grid,
        parts.found,
        consistency,
        iterations,
        verdict,
        claims.evidence,
        model.calibration.psf.equivalent_sigma_nm,
        history.motion_nm(window.first, len(window), settings.pixel_nm),
        0.0 if parts.corrected else parts.frames / len(window),
        widest_in_focus_nm(settings.pixel_nm, settings.psf),
        _blinking_nm(model),
        window.saturated_share,
        accumulation.drift_nm,
        typical_localization(parts.found, repeated=level.measure_quality),
        model.state.psf_learning.far_correlation,
    )
    metrics = METRICS.measure("picture", evidence, costly=level.measure_quality)
    if level.measure_quality:
        callbacks.mark("quality")
    notes = _notes(model, found is not None and not len(found), empty, iterations)
    if level.name != "preview":  # the refined picture that follows shows whether anything is wrong
        notes += METRICS.cautions(metrics, level.estimate, "" if level.name == "full" else level.name)
    return (
        model.with_state(buffer=buffer, recent=recent, claims=claims, accumulation=accumulation),
        Reconstruction(
            picture=drawn_picture,
            raw_mean=window.raw_mean,
            scale=settings.scale,
            estimate=level.estimate,
            frames=len(window),
            looked_at=looked_at,
            state=_state(model, history),
            iterations=iterations,
            optics=str(model.calibration.psf),
            camera=str(model.calibration.camera),
            notes=notes + window.notes + history.notes(window.first, settings.pixel_nm) + parts.notes,
            memory=history.describe(int(window.numbers[0])),
            motion=parts.motion,
            psf=model.calibration.psf,
            localizations=found,
            metrics=metrics,
            error_map=None if consistency is None else mask.blank(consistency.error_map),
            trust_map=None if claims.evidence is None or not level.measure_quality else claims.evidence.trust_map,
            accumulation=accumulation if settings.estimate == "fused" else None,
        ),
    )


def _unmasked(found: Localizations, mask: FieldMask, pixel_nm: float) -> Localizations:
    """Select the localisations outside masked pixels."""
    shown = mask.shows(*((at / pixel_nm).cpu().numpy() for at in (found.y_nm, found.x_nm)))
    return found.where(torch.as_tensor(shown, device=found.frame.device))


def _blinking_nm(model: SequenceModel) -> float | None:
    """Return the width of what blinks, None where anything is in focus."""
    focus = model.state.psf_learning.focus
    return focus.blinking_sigma_nm if focus is not None and focus.lost else None


def _accumulated(
    model: SequenceModel, new: FrameBuffer, emitters: Tensor, claims: ClaimSchedule, frames: int
) -> Accumulation:
    """Add new frames to the accumulated picture, if emitters are real.

    Args:
        model: model before the window.
        new: frames whose emitters were found for the first time.
        emitters: (rows, columns) density that they were found with.
        claims: what is known of the window's emitters.
        frames: frames behind that density.
    """
    accumulation, grid = model.state.accumulation, model.grid
    if claims.evidence is not None and claims.evidence is not model.state.claims.evidence:
        accumulation = accumulation.with_check(claims.evidence.resolution_nm, claims.evidence.one_density_nm)
    found = localizations_of(new)
    if claims.nothing_real or found is None:
        return accumulation
    if accumulation.spans is None:
        accumulation = accumulation.counting_in(most_localized_part(found, grid), grid.pixel_nm)
    cells = cells_together(model.compute.planned.map_bytes)
    return accumulate(accumulation, new, emitters, DrawingSettings(grid, model.settings.scale, frames, cells))


def _state(model: SequenceModel, history: CovarianceHistory) -> State:
    if model.state.density is not None:
        return "warm"
    return "cold" if history.since < 0 else "scene changed"


def _expected(imaged: Tensor, blocks: FrameBuffer) -> Tensor:
    """Return the mean frame that the emitters of some blocks explain.

    Each block has the background that its emitters were found with.

    Where the sample bleaches, the background of earlier windows was another one than this window's.

    Args:
        imaged: (H, W) photons per frame, the mean of the blocks' emitters as the camera sees them.
        blocks: frames, their emitters found.
    """
    backgrounds = [len(block) * block.background for block in blocks if block.background is not None]
    return imaged + torch.stack(backgrounds).sum(0) / sum(map(len, blocks))


def _notes(model: SequenceModel, none_found: bool, empty: bool, iterations: int) -> tuple[str, ...]:
    notes = notes_on(model.calibration, model.state, iterations, empty=empty)
    return (*notes, NONE_STANDS_OUT) if none_found and not empty else notes
