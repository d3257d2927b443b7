"""What comes out of a window: a super-resolved picture and what it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from selfstorm.calibration.psf_finetuning import FitReport
from selfstorm.frames import Array
from selfstorm.localizations import Localizations
from selfstorm.psf.models import Psf

State = Literal["cold", "warm", "scene changed"]


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A super-resolved picture and what it was made from.

    picture: (scale*H, scale*W) float32, photons per SR cell summed over the frames ('density': variance, any unit),
    >= 0. raw_mean: (H, W) float32, ADU. misfit: share of the mean frame's variance over the field that the model leaves
    unexplained, 0 at best. looked_at: frames whose emitters were looked for. notes: what was assumed, and when not to
    trust it. memory: which frames the density was made from. fit: what fine-tuning did, None where it was not its turn.
    psf: what the localisations were made with, which have the stream's frame numbers; both None where none were made.
    resolution_nm, agreement, error_map: how good it is (selfstorm.metrics.self_consistency); None where that was not
    looked at, or where the frames do not tell.
    """

    picture: Array
    raw_mean: Array
    scale: int
    estimate: str
    frames: int
    looked_at: int
    state: State
    layers: int
    optics: str
    camera: str
    misfit: float
    notes: tuple[str, ...]
    memory: str = ""
    fit: FitReport | None = None
    psf: Psf | None = None
    localizations: Localizations | None = None
    resolution_nm: float | None = None
    agreement: float | None = None
    error_map: Array | None = None
