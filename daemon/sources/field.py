"""Description of a stream from Micro-Manager.

It is made of an image's tags, and of the settings of the camera.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import uuid4

from selfstorm.errors import SelfStormError
from selfstorm.frames import PixelType, StreamInfo

PIXEL_TYPES: dict[str, PixelType] = {"GRAY8": "uint8", "GRAY16": "uint16"}


class CameraField(NamedTuple):
    """Properties of an image that must not change within a stream.

    They are read from its tags, and empty where it has none.
    """

    camera: str
    width: int
    height: int
    pixel_type: str
    roi: str
    binning: str


class CameraSettings(NamedTuple):
    """Settings of the camera that must not change within a stream.

    They are queried now and then: tags need not contain them.
    """

    camera: str
    exposure_ms: float
    pixel_um: float


class UnusableFieldError(SelfStormError):
    """Images that cannot be reconstructed.

    The message says which setting to change in Micro-Manager.
    """


NAMES = {"pixel_type": "pixel type", "roi": "ROI", "pixel_um": "pixel size", "exposure_ms": "exposure"}


def field_of(tags: dict[str, Any]) -> CameraField:
    """Read the field of an image from its tags."""
    return CameraField(
        camera=str(tags.get("Camera", "")),
        width=int(tags["Width"]),
        height=int(tags["Height"]),
        pixel_type=str(tags["PixelType"]),
        roi=str(tags.get("ROI", "")),
        binning=str(tags.get("Binning", "")),
    )


def check_camera(core: Any) -> None:
    """Check that the core has one camera.

    Raises:
        UnusableFieldError: it has none, or several at once.
    """
    camera = str(core.get_camera_device())
    if not camera:
        raise UnusableFieldError("no camera is loaded: load a configuration with a camera in Micro-Manager")
    if core.get_number_of_camera_channels() > 1:
        raise UnusableFieldError(f"{camera} is several cameras at once: choose one camera in Micro-Manager")


def settings_of(core: Any) -> CameraSettings:
    """Query the settings of the core's camera.

    The pixel size is the core's cached one: for a new one it would query the objective turret, a device, each time.
    """
    pixel_um = float(core.get_pixel_size_um(True))
    return CameraSettings(str(core.get_camera_device()), float(core.get_exposure()), pixel_um)


def library_of(core: Any, camera: str) -> str:
    """Query the device library of a camera; empty where there is no camera."""
    return str(core.get_device_library(camera)) if camera else ""


def changes(before: CameraField | CameraSettings, after: CameraField | CameraSettings) -> str:
    """Name the properties that differ: 'ROI, width'."""
    names = (name for name, old, new in zip(before._fields, before, after, strict=True) if old != new)
    return ", ".join(NAMES.get(name, name) for name in names)


def describe(core: Any, source: str, field: CameraField, settings: CameraSettings) -> StreamInfo:
    """Describe a new stream.

    Args:
        core: of Micro-Manager.
        source: the source's URI.
        field: of its images.
        settings: of its camera.

    Raises:
        UnusableFieldError: the pixels are not gray values of 8 or 16 bits.
    """
    camera = field.camera or settings.camera
    if field.pixel_type not in PIXEL_TYPES:
        raise UnusableFieldError(
            f"{camera} gives {field.pixel_type} pixels: set its PixelType to 8bit or 16bit in Micro-Manager's Device "
            "Property Browser"
        )
    x, y = (int(part) for part in (field.roi or "0-0").split("-")[:2])
    return stream_info(
        source,
        f"{camera} ({core.get_device_name(camera)})",
        height=field.height,
        width=field.width,
        dtype=PIXEL_TYPES[field.pixel_type],
        pixel_um=settings.pixel_um,
        exposure_ms=settings.exposure_ms,
        bit_depth=int(core.get_image_bit_depth()),
        binning=field.binning,
        roi_yx=(y, x),
    )


def stream_info(
    source: str,
    camera: str,
    *,
    height: int,
    width: int,
    dtype: PixelType,
    pixel_um: float,
    exposure_ms: float,
    bit_depth: int,
    binning: str,
    roi_yx: tuple[int, int],
    interval_ms: float = 0.0,
) -> StreamInfo:
    """Describe a new stream in Micro-Manager's words.

    Micro-Manager gives 0 for a pixel size, an exposure or a bit depth that it does not know.

    Args:
        source: the source's URI.
        camera: its label and its device.
        height: of the images in pixels.
        width: of the images in pixels.
        dtype: of the pixels.
        pixel_um: size of a pixel in the sample.
        exposure_ms: exposure of the camera.
        bit_depth: of the camera.
        binning: '2', or '2x2'; empty where it is not known.
        roi_yx: corner of the field on the sensor.
        interval_ms: time between two frames; 0 where the exposure is the pace.
    """
    frame_ms = interval_ms or exposure_ms
    return StreamInfo(
        stream=uuid4().hex,
        source=source,
        height=height,
        width=width,
        dtype=dtype,
        pixel_nm=pixel_um * 1e3 if pixel_um > 0 else None,
        exposure_ms=exposure_ms,
        rate_hz=1000 / frame_ms if frame_ms > 0 else None,
        camera=camera,
        bit_depth=bit_depth or None,
        binning=int((binning or "1").split("x")[0]),
        roi_yx=roi_yx,
    )
