"""Settings of one stream.

The camera's description completes the user's configuration.
"""

from __future__ import annotations

from daemon.config import CameraSection, Config, OpticsSection
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo
from selfstorm.psf.models import Airy, Gaussian, Psf
from selfstorm.stream.settings import Settings


def stream_settings(config: Config, info: StreamInfo) -> Settings:
    """Derive the settings of a stream.

    Args:
        config: of the user, which wins over the camera.
        info: description of the stream.

    Raises:
        InputError: the pixel size is unknown.
    """
    camera, chosen = config.camera, config.reconstruction
    pixel_nm = camera.pixel_nm or info.pixel_nm
    if pixel_nm is None:
        raise InputError(
            "pixel size unknown",
            where=info.source,
            hint="set pixel_nm under [camera] in the configuration",
        )
    offset_adu, gain = _offset_and_gain(camera, info)
    return Settings(
        pixel_nm=pixel_nm,
        psf=_psf(config.optics),
        offset_adu=offset_adu,
        gain_adu_per_electron=gain,
        scale=chosen.scale,
        estimate=chosen.estimate,
        quality=chosen.quality,
        model=chosen.model,
        tuning_steps=chosen.tuning_steps,
        motion=chosen.motion,
        tile_px=chosen.tile_px,
    )


def _offset_and_gain(given: CameraSection, info: StreamInfo) -> tuple[float | None, float | None]:
    """Return the camera's (offset, gain), in ADU and ADU per electron.

    The user's values override those of the camera.
    """
    offset_adu = info.offset_adu if given.offset_adu is None else given.offset_adu
    return offset_adu, given.gain_adu_per_electron or info.gain_adu_per_electron


def _psf(optics: OpticsSection) -> Psf | None:
    if optics.psf_sigma_nm is not None:
        return Gaussian(optics.psf_sigma_nm)
    if optics.na is not None and optics.wavelength_nm is not None:
        return Airy(optics.na, optics.wavelength_nm)
    return None
