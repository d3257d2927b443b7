"""Record of a window's picture: its metrics, notes and provenance.

A field in one piece and one in tiles are recorded alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor

from selfstorm.calibration.focus import widest_in_focus_nm
from selfstorm.frames import Array
from selfstorm.localizations import Localizations
from selfstorm.metrics.picture_metrics import PictureEvidence
from selfstorm.metrics.registry import METRICS
from selfstorm.metrics.self_consistency import SelfConsistency
from selfstorm.physics.operators import Grid
from selfstorm.reconstruction import Reconstruction, State
from selfstorm.stream.field_state import FieldState
from selfstorm.stream.instrument import Calibration
from selfstorm.stream.picture_notes import notes_on
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.settings import Settings
from selfstorm.stream.window import WindowFrames

NONE_STANDS_OUT = "No emitter stands out from the noise; the picture is empty"


class FieldModel(Protocol):
    """Model of a field whose pictures are recorded; its history is planned."""

    @property
    def settings(self) -> Settings:
        """Settings of the stream."""
        ...

    @property
    def calibration(self) -> Calibration:
        """Calibration of the field."""
        ...

    @property
    def state(self) -> FieldState:
        """State of the field."""
        ...

    @property
    def grid(self) -> Grid:
        """Padded SR grid of the field."""
        ...


@dataclass(frozen=True)
class Provenance:
    """Origin of a picture, beside model and window.

    Attributes:
        known: The scene was known before the window.
        iterations: Iterations of the density.
        looked_at: Frames whose emitters were searched for this picture.
        motion: Time that the sample is shown at, in words.
        empty: Nothing blinks in focus.
        notes: When not to trust the way that it was drawn.
    """

    known: bool
    iterations: int
    looked_at: int
    motion: str
    empty: bool
    notes: tuple[str, ...]


class MeanLight(NamedTuple):
    """Mean frame of a window and what explains it, (H, W) photons each.

    Attributes:
        mean: The mean frame that is explained.
        seen: The mean frame as it was taken.
        expected: The mean frame as the model explains it.
        background: Its smooth part.
    """

    mean: Tensor
    seen: Tensor
    expected: Tensor
    background: Tensor


def evidence_on(
    model: FieldModel,
    window: WindowFrames,
    picture: Tensor,
    light: MeanLight,
    consistency: SelfConsistency | None,
    iterations: int,
    moving_share: float,
) -> PictureEvidence:
    """Gather what every picture is measured by.

    Args:
        model: Model of the field.
        window: Frames of the window.
        picture: (s*H, s*W) of the field, on the host as all that follows.
        light: mean frame and what explains it.
        consistency: Picture against the mean frame; None at levels that do not assess it.
        iterations: Iterations of the density.
        moving_share: Share of the motion in the frames as they are drawn.
    """
    pixel_nm, psf, variation = model.settings.pixel_nm, model.calibration.psf, model.state.psf_learning.variation
    return PictureEvidence(
        picture,
        *light,
        len(window),
        model.grid,
        consistency=consistency,
        iterations=iterations,
        held_out=model.state.iteration_choice.verdict,
        psf_sigma_nm=psf.equivalent_sigma_nm,
        motion_nm=model.state.history.motion_nm(window.first, len(window), pixel_nm),
        moving_share=moving_share,
        psf_limit_nm=widest_in_focus_nm(pixel_nm, model.settings.psf),
        saturated_share=window.saturated_share,
        far_correlation=model.state.psf_learning.far_correlation,
        psf_variation=None if variation is None else variation.relative,
    )


def finite_picture(model: FieldModel, picture: Array) -> Array:
    """Blank the masked pixels of a picture.

    Raises:
        FloatingPointError: the picture is not finite.
    """
    shown = model.calibration.mask.blank(picture, model.settings.scale)
    if not np.isfinite(shown).all():
        raise FloatingPointError("the reconstruction of this window is not finite")
    return shown


def record(
    model: FieldModel,
    window: WindowFrames,
    level: ProcessingLevel,
    picture: Array,
    evidence: PictureEvidence,
    made: Provenance,
    localizations: Localizations | None = None,
) -> Reconstruction:
    """Measure a picture and record what it was made from.

    Args:
        model: Model of the field.
        window: Frames of the window.
        level: Extent of the processing.
        picture: (s*H, s*W), as it is shown.
        evidence: What it is measured by.
        made: What it was made from.
        localizations: Where they lay; None where none were made.
    """
    calibration, history, settings = model.calibration, model.state.history, model.settings
    metrics = METRICS.measure("picture", evidence, costly=level.measure_quality)
    notes = notes_on(calibration, model.state, made.iterations, empty=made.empty)
    if localizations is not None and not len(localizations) and not made.empty:
        notes += (NONE_STANDS_OUT,)
    if level.name != "preview":  # the refined picture that follows shows whether anything is wrong
        notes += METRICS.cautions(metrics, level.estimate, "" if level.name == "full" else level.name)
    consistency, claims = evidence.consistency, evidence.claims
    return Reconstruction(
        picture=picture,
        raw_mean=window.raw_mean,
        scale=settings.scale,
        estimate=level.estimate,
        frames=len(window),
        looked_at=made.looked_at,
        state=_state(model, known=made.known),
        iterations=made.iterations,
        optics=str(calibration.psf),
        camera=str(calibration.camera),
        notes=notes + window.notes + history.notes(window.first, settings.pixel_nm) + made.notes,
        memory=history.describe(int(window.numbers[0])),
        motion=made.motion,
        psf=calibration.psf,
        localizations=localizations,
        metrics=metrics,
        error_map=None if consistency is None else calibration.mask.blank(consistency.error_map),
        trust_map=None if claims is None or not level.measure_quality else claims.trust_map,
    )


def _state(model: FieldModel, *, known: bool) -> State:
    if known:
        return "warm"
    return "cold" if model.state.history.since < 0 else "scene changed"
