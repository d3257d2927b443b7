"""Results in the camera's photons.

Where a camera multiplies electrons, the method computes with photons divided by the excess noise factor, which have
Poisson statistics (selfstorm.physics.camera_maps). What users see is multiplied by it again.
"""

from __future__ import annotations

from dataclasses import replace

from selfstorm.localizations import Localizations
from selfstorm.metrics.registry import METRICS
from selfstorm.reconstruction import Reconstruction

PHOTONS = "photons"


def in_photons(result: Reconstruction, excess_noise: float) -> Reconstruction:
    """Convert a result from effective photons to photons.

    Args:
        result: of a camera with that excess noise factor F^2.
        excess_noise: F^2; 1 leaves everything as it is.
    """
    if excess_noise == 1:
        return result
    found, error_map = result.localizations, result.error_map
    metrics = {
        key: value * (excess_noise if METRICS[key].unit == PHOTONS else 1) for key, value in result.metrics.items()
    }
    return replace(
        result,
        picture=result.picture * result.picture.dtype.type(excess_noise),
        localizations=None if found is None else _localizations_in_photons(found, excess_noise),
        metrics=metrics,
        error_map=None if error_map is None else error_map * error_map.dtype.type(excess_noise),
    )


def _localizations_in_photons(found: Localizations, excess_noise: float) -> Localizations:
    """Convert localizations; their precision is right as it is."""
    return replace(
        found,
        photons=found.photons * excess_noise,
        background_photons=found.background_photons * excess_noise,
        background_sd=found.background_sd * excess_noise,
    )
