"""Settings of a stream: optics and camera where known, and the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from selfstorm.physics.camera_maps import CameraCalibration
from selfstorm.psf.models import Psf
from selfstorm.stream.processing_level import Estimate, ProcessingLevel, Quality

Motion = Literal["corrected", "as-it-lay"]

FUSED_GRID_SCALE = 4  # localizations are finer than the cells they are found on


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a stream.

    Values that are None are learned from the first window.

    Attributes:
        pixel_nm: camera pixel in the sample.
        psf: optics, where they are known.
        offset_adu: camera offset.
        gain_adu_per_electron: camera gain.
        scale: SR cells along a camera pixel of the picture.
        estimate: 'density', what fluctuates; 'emitters', the sum of the frames' emitter maps; 'fused', localizations
            where emitters are sparse and emitter maps where they are crowded.
        quality: 'best', or 'fast' with fewer iterations.
        model: name of the model kind (selfstorm.stream.model_kinds).
        tuning_steps: gradient steps of fine-tuning the PSF a window; 0 for none.
        motion: 'corrected', the sample at the time of the window's newest frame; 'as-it-lay', its frames added up as
            they are.
        tile_px: longest side of a tile of the tiled model, camera pixels; None: by the device's memory.
        pixels: calibration of each pixel of the field; with it, offset and gain are not used.
    """

    pixel_nm: float
    psf: Psf | None = None
    offset_adu: float | None = None
    gain_adu_per_electron: float | None = None
    scale: int = 4
    estimate: Estimate = "fused"
    quality: Quality = "best"
    model: str = "unrolled"
    tuning_steps: int = 8
    motion: Motion = "corrected"
    tile_px: int | None = None
    pixels: CameraCalibration | None = None

    @property
    def level(self) -> ProcessingLevel:
        """Processing level at which everything asked for is made."""
        return ProcessingLevel("full", self.estimate, self.quality)

    @property
    def grid_scale(self) -> int:
        """SR cells along a camera pixel, on the grid of the density.

        The emitter maps have the same grid.
        """
        return FUSED_GRID_SCALE if self.estimate == "fused" else self.scale

    def learns_like(self, other: Settings) -> bool:
        """Return whether a model with the other settings can go on with these.

        This is so where only the output differs.
        """
        output = {"estimate": "density", "quality": "best", "tuning_steps": 0, "motion": "corrected"}
        same = replace(self, **output) == replace(other, **output)  # type: ignore[arg-type]
        return same and self.grid_scale == other.grid_scale
