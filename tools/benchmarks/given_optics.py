"""Simulated movies, reconstructed with optics and camera given."""

from __future__ import annotations

import numpy as np

import selfstorm
from selfstorm.api import Result
from selfstorm.frames import Array
from selfstorm.psf.models import Psf
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene
from selfstorm.stream.processing_level import Quality


def first_frames(movie: Movie, frames: int) -> Array:
    """Return the first frames of a movie, (T, H, W) ADU."""
    return np.stack([pixels for (pixels, _), _ in zip(movie.frames(), range(frames), strict=False)])


def reconstruct_given(raw: Array, scene: Scene, psf: Psf, quality: Quality, scale: int = 8) -> Result:
    """Reconstruct frames of a scene whose PSF and camera are given.

    Args:
        raw: (T, H, W) ADU.
        scene: that was filmed.
        psf: its optics.
        quality: of the reconstruction.
        scale: SR cells along a camera pixel.
    """
    return selfstorm.reconstruct(
        raw,
        scene.pixel_nm,
        psf=psf,
        offset_adu=scene.offset_adu,
        gain_adu_per_electron=scene.gain_adu_per_electron,
        scale=scale,
        quality=quality,
        tuning_steps=0,
        device="cpu",
    )


def localized(made: Result) -> Array:
    """Return the localizations (N, 3): frame, y and x in nm."""
    found = made.localizations
    return np.empty((0, 3)) if found is None else np.stack([found[key] for key in ("frame", "y_nm", "x_nm")], 1)


def claimed_resolution(made: Result) -> str:
    """Write the resolution that a picture claims."""
    resolution_nm = made.metrics.get("resolution_nm")
    return "no resolution" if resolution_nm is None else f"{resolution_nm:.0f} nm"
