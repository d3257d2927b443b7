"""The instrument: PSF, camera, bad pixels, and the resulting operators."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.frames import Array
from selfstorm.physics.background import Surfaces
from selfstorm.physics.bad_data import interpolate_hot_pixels
from selfstorm.physics.camera import Camera
from selfstorm.physics.camera_maps import CameraCalibration
from selfstorm.physics.masked import FieldMask
from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Psf
from selfstorm.stages.held_out import grid_of_part
from selfstorm.stages.out_of_focus import OutOfFocusBackground


@dataclass(frozen=True, eq=False)
class Calibration:
    """PSF, camera and bad pixels of a field.

    Attributes:
        psf: given, or learned from the frames.
        camera: given, or learned from the first window.
        hot_pixels: (H, W) bool, pixels whose values are replaced by their neighbours'.
        saturation_adu: value at which the camera clips, infinite where none was seen to.
        mask: pixels that show a constant instead of light.
        pixels: calibration of each pixel; None where all pixels count as alike.
    """

    psf: Psf
    camera: Camera
    hot_pixels: Array
    saturation_adu: float = math.inf
    mask: FieldMask = field(default_factory=FieldMask)
    pixels: CameraCalibration | None = None

    def photons(self, raw: Array, out: Array | None = None) -> Array:
        """Convert frames (T, H, W) from ADU to float32 photons.

        Masked pixels are filled, hot ones interpolated. The result is written into `out` where given.
        """
        if self.pixels is not None:
            return interpolate_hot_pixels(self.mask.filled(self.pixels.photons(raw, out)), self.hot_pixels)
        return self.camera.photons(interpolate_hot_pixels(self.mask.filled(raw), self.hot_pixels), out)

    def saturated(self, raw: Array) -> Array:
        """Find the saturated values of frames (T, H, W) ADU: bool."""
        if math.isinf(self.saturation_adu):
            return np.zeros(raw.shape, bool)
        saturated = np.asarray((self.mask.filled(raw) >= self.saturation_adu) & ~self.hot_pixels)
        return saturated if self.pixels is None else saturated & ~self.pixels.bad

    def read_variance(self, like: Tensor, *, of_fits: bool = False) -> Tensor | None:
        """Return the variance beside that of light, (H, W) photons^2.

        None where pixels are not calibrated: the camera's noise is then light's alone.

        Args:
            like: of the device and dtype to return.
            of_fits: bad pixels weigh nothing; they are interpolated from the others otherwise.
        """
        if self.pixels is None:
            return None
        return torch.as_tensor(self.pixels.fit_variance if of_fits else self.pixels.read_variance).to(like)

    def repeated_noise(self, mean: Tensor) -> Tensor | None:
        """Return the covariance of noise that interpolated pixels share.

        Args:
            mean: (H, W) photons.

        Returns:
            (lags, H, W) photons^2; None where no pixel is interpolated.
        """
        if self.pixels is None or not len(self.pixels.bad_pixels.at):
            return None
        variance = torch.as_tensor(self.pixels.read_variance).to(mean) + mean.clamp(min=0)
        return self.pixels.bad_pixels.repeated_noise(variance)


@dataclass(frozen=True, eq=False)
class FieldOperators:
    """Operators of one PSF on one field, with their recorded CUDA graphs."""

    psf: Psf
    grid: Grid
    imaging: Imaging
    covariance: LaggedCovariance
    out_of_focus: OutOfFocusBackground
    surfaces: Surfaces
    graphs: Graphs

    @classmethod
    def of(cls, psf: Psf, grid: Grid, device: torch.device) -> FieldOperators:
        """Make the operators of a PSF.

        CUDA graphs are recorded anew, because they hold operators.
        """
        like = torch.zeros((), dtype=torch.float32, device=device)
        imaging, covariance = Imaging(psf, grid, like), LaggedCovariance(psf, grid, like)
        surfaces = Surfaces.of(grid.height, grid.width, like)
        return cls(psf, grid, imaging, covariance, OutOfFocusBackground(psf, grid, like), surfaces, Graphs())

    @cached_property
    def of_held_out(self) -> LaggedCovariance:
        """Operator of the part that held-out frames are compared in."""
        part = grid_of_part(self.grid)
        return self.covariance if part == self.grid else LaggedCovariance(self.psf, part, self.covariance.norm)
