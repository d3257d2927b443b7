"""The result of a window: a super-resolved picture and its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from selfstorm.calibration.psf_finetuning import FitReport
from selfstorm.frames import Array
from selfstorm.localizations import Localizations
from selfstorm.psf.models import Psf

if TYPE_CHECKING:
    from selfstorm.stream.accumulation import Accumulation

PICTURE_UNIT, NO_UNIT = "photons/frame", "a.u."  # of a pixel of a picture: photons, or arbitrary units

State = Literal["cold", "warm", "scene changed", "rolled back"]


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A super-resolved picture and its provenance.

    Attributes:
        picture: (scale*H, scale*W) float32 >= 0; every estimate in expected photons per SR cell and frame, so that
            pictures of other levels and windows can be compared; the published model's in arbitrary units.
        raw_mean: (H, W) float32 ADU, mean of the valid frames.
        scale: SR cells along a camera pixel.
        estimate: estimate that the picture shows.
        frames: valid frames of the window.
        looked_at: frames whose emitters were found for this picture, not before.
        state: what was known before the window.
        iterations: iterations of stage A.
        optics: the PSF in words.
        camera: the camera in words.
        notes: assumptions, and when not to trust the picture.
        memory: frames that the density was computed from, in words.
        motion: time that the sample is shown at, in words: 'as it lay', or moved to the newest frame.
        fit: report of fine-tuning; None where it was not due.
        psf: PSF that the localizations were made with; None where none were made.
        localizations: with the stream's frame numbers; None where none were made.
        metrics: by key, see selfstorm.metrics.registry.METRICS; those that could not be measured are left out.
        error_map: see selfstorm.metrics.self_consistency; None at levels that do not assess it.
        unit: unit of a pixel of the picture.
        trust_map: (H, W) float32, where two halves of the frames agree (selfstorm.metrics.split_halves); NaN where they
            were not compared, None where they never were.
        accumulation: sums over all frames of the scene so far; None live, and where they are not kept.
    """

    picture: Array
    raw_mean: Array
    scale: int
    estimate: str
    frames: int
    looked_at: int
    state: State
    iterations: int
    optics: str
    camera: str
    notes: tuple[str, ...]
    memory: str = ""
    motion: str = "as it lay"
    fit: FitReport | None = None
    psf: Psf | None = None
    localizations: Localizations | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    error_map: Array | None = None
    unit: str = PICTURE_UNIT
    trust_map: Array | None = None
    accumulation: Accumulation | None = None
