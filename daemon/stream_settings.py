"""Settings of one stream.

The camera's description completes the user's configuration.
"""

from __future__ import annotations

import logging

from daemon.config import CameraSection, Config, OpticsSection
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo
from selfstorm.io.camera_file import calibration_of
from selfstorm.io.camera_names import NO_CALIBRATION, SensorField
from selfstorm.physics.camera_maps import CameraCalibration
from selfstorm.psf.models import Airy, Gaussian, Psf
from selfstorm.stream.model_kinds import kind_of
from selfstorm.stream.settings import Settings

log = logging.getLogger(__name__)


def stream_settings(config: Config, info: StreamInfo) -> Settings:
    """Derive the settings of a stream.

    Args:
        config: of the user, which wins over the camera.
        info: description of the stream.

    Raises:
        InputError: the pixel size is unknown, or the camera's calibration cannot be used.
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
        pixels=_pixels(camera, info, chosen.model),
    )


class KnownSettings:
    """Settings of the running stream, derived once.

    The drive with the camera's calibration may be gone later.
    """

    def __init__(self) -> None:
        self._known: tuple[Config, StreamInfo, Settings] | None = None

    def of(self, config: Config, info: StreamInfo) -> Settings:
        """Return the settings of a stream.

        Raises:
            InputError: they cannot be derived.
        """
        if self._known is None or self._known[0] is not config or self._known[1] != info:
            self._known = config, info, stream_settings(config, info)
        return self._known[2]


def _pixels(given: CameraSection, info: StreamInfo, model: str) -> CameraCalibration | None:
    """Return the calibration of the stream's pixels, for a kind of model.

    One that was found by the camera's name is left out where it does not fit.
    """
    if not kind_of(model).calibrates:
        if given.calibration not in (None, NO_CALIBRATION):
            raise InputError(
                f"the model '{model}' uses no calibration of pixels", where="camera.calibration", hint="remove it"
            )
        return None
    field = SensorField(info.camera, info.roi_yx, (info.height, info.width), info.binning)
    if given.calibration is not None:
        return None if given.calibration == NO_CALIBRATION else calibration_of(given.calibration, field)
    if given.offset_adu is not None or given.gain_adu_per_electron is not None:
        return None
    try:
        return calibration_of(None, field)
    except InputError as error:
        log.warning("%s; going on without it", error)
        return None


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
