"""What comes out of a window: a super-resolved picture and what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from selfstorm.calibration.psf_finetuning import FitReport
from selfstorm.frames import Array
from selfstorm.localizations import Localizations
from selfstorm.psf.models import Psf

State = Literal["cold", "warm", "scene changed", "rolled back"]


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A super-resolved picture and what it was made from.

    picture: (scale*H, scale*W) float32, photons per SR cell summed over the frames ('density': variance, any unit),
    >= 0. raw_mean: (H, W) float32, ADU. looked_at: frames whose emitters were looked for. notes: what was assumed, and
    when not to trust it. memory: which frames the density was made from. fit: what fine-tuning did, None where it was
    not its turn. psf: what the localisations were made with, which have the stream's frame numbers; both None where
    none were made. metrics: by key, as selfstorm.metrics.registry.METRICS describes them; those that could not be
    measured are left out. error_map: see selfstorm.metrics.self_consistency; None at levels that do not assess it.
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
    notes: tuple[str, ...]
    memory: str = ""
    fit: FitReport | None = None
    psf: Psf | None = None
    localizations: Localizations | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    error_map: Array | None = None
