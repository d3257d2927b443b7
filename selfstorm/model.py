"""The sequence-specific model: all that is learned from the measurements and carried from window to window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from selfstorm.camera import Camera, calibrate
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.operators import Grid, Imaging, LaggedCovariance
from selfstorm.optics import Psf
from selfstorm.psf_from_data import learn_psf

Estimate = Literal["density", "emitters", "fused"]
Quality = Literal["best", "fast"]
LEAST_SIDE_PX = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose. None: learned from the first window.

    scale: SR cells along a camera pixel. window, stride: frames; window None takes the whole movie.
    """

    pixel_nm: float
    psf: Psf | None = None
    offset_adu: float | None = None
    gain_adu_per_electron: float | None = None
    scale: int = 4
    estimate: Estimate = "emitters"
    quality: Quality = "best"


class SequenceModel:
    """Camera, optics and density of one stream.

    Made from the stream's first window, which fixes the camera and the PSF where the user gave none; `density` is
    then what the last window left, or None before the first.
    """

    def __init__(self, settings: Settings, first_window: Array, device: torch.device) -> None:
        height, width = first_window.shape[1:]
        if min(height, width) < LEAST_SIDE_PX:
            raise InputError(
                f"a field of {width} x {height} pixels", mend=f"give at least {LEAST_SIDE_PX} on each side"
            )
        self.settings = settings
        self.camera: Camera = calibrate(first_window, settings.offset_adu, settings.gain_adu_per_electron)
        self.psf: Psf = settings.psf or learn_psf(first_window, settings.pixel_nm)
        self.grid = Grid(height, width, settings.scale, settings.pixel_nm)
        like = torch.zeros((), dtype=torch.float32, device=device)
        self.imaging = Imaging(self.psf, self.grid, like)
        self.covariance = LaggedCovariance(self.psf, self.grid, like)
        self.density: Tensor | None = None
        self.device = device
