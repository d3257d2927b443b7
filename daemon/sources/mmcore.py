"""mmcore:[CONFIG.cfg], the real Micro-Manager core in this process, without its Java window.

The acquisition is ours, so images are popped from the circular buffer. What can go wrong, told apart:

    numbers are skipped             the buffer ran over and was emptied: so many frames are lost, the sequence goes on
    the sequence stopped            somebody or something stopped the camera: started again at once, a new stream
    it stops without a frame,       the camera fails: this process ends and says how, and is started again until the
    or cannot be started            camera works; only a fresh process initialises a device for certain
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from daemon.config import SourceSection
from daemon.sources.camera import Happening, Lost, Shot, Waiting
from selfstorm.errors import InputError
from selfstorm.frames import PixelType, StreamInfo

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

BUFFER_MB = 512
POLL_S = 0.002
PIXEL_TYPES: dict[int, PixelType] = {1: "uint8", 2: "uint16", 4: "float32"}


class CameraError(RuntimeError):
    """The camera fails; it may work again later."""


class MMCore:
    """A continuous sequence of the configuration's camera; DemoCamera when no configuration is named."""

    def __init__(self, section: SourceSection, stop: threading.Event) -> None:
        self._section, self._stop = section, stop
        self._core = _loaded_core(section)

    def happenings(self) -> Iterator[Happening]:
        core = self._core
        try:
            core.setCircularBufferMemoryFootprint(BUFFER_MB)
            while not self._stop.is_set():
                info = self._describe()
                try:
                    core.startContinuousSequenceAcquisition(0)
                except RuntimeError as error:
                    raise CameraError(f"{info.camera} cannot be started: {error}") from None
                yield info
                yield from self._sequence(info.camera)
        finally:
            if core.isSequenceRunning():
                core.stopSequenceAcquisition()
            core.reset()
            # The core must go before the interpreter does, or the process aborts on the way out.
            del core, self._core

    def _sequence(self, camera: str) -> Iterator[Happening]:
        """One sequence, until it has stopped and its buffer is empty. Raises CameraError if it gave no frame."""
        core, expected, stopped = self._core, 0, False
        while not self._stop.is_set():
            if core.getRemainingImageCount() == 0:
                if stopped and not expected:
                    raise CameraError(f"{camera} stops before its first frame: is it connected, and free?")
                if stopped:
                    yield Waiting(f"{camera} has stopped its sequence, which is started again")
                    return
                stopped = not core.isSequenceRunning()  # what came in by then is still taken
                self._stop.wait(POLL_S)
                yield None
                continue
            pixels, metadata = core.popNextImageAndMD()
            number = int(metadata["ImageNumber"])
            if number > expected:
                yield Lost(number - expected)
            expected = number + 1
            yield Shot(pixels, number, float(metadata["ElapsedTime-ms"]))

    def _describe(self) -> StreamInfo:
        core = self._core
        camera, exposure_ms = core.getCameraDevice(), core.getExposure()
        if not camera:
            raise CameraError("no camera is there any more: was it switched off?")
        pixel_type = PIXEL_TYPES.get(core.getBytesPerPixel())
        if pixel_type is None or core.getNumberOfComponents() != 1:
            raise InputError(
                f"{camera} gives colour pixels",
                where=self._section.uri,
                mend="set its PixelType to 8bit or 16bit",
            )
        x, y, width, height = core.getROI()
        pixel_nm = core.getPixelSizeUm() * 1e3
        return StreamInfo(
            stream=uuid4().hex,
            source=self._section.uri,
            height=height,
            width=width,
            dtype=pixel_type,
            pixel_nm=pixel_nm if pixel_nm > 0 else None,
            exposure_ms=exposure_ms,
            rate_hz=1000 / exposure_ms if exposure_ms > 0 else None,
            camera=f"{camera} ({core.getDeviceName(camera)})",
            bit_depth=core.getImageBitDepth(),
            binning=_binning(core, camera),
            roi_yx=(y, x),
        )


def _loaded_core(section: SourceSection) -> CMMCorePlus:
    try:
        import mm_test_adapters
        from pymmcore_plus import CMMCorePlus, configure_logging
    except ImportError:
        raise InputError(
            "needs Micro-Manager's core", where=section.uri, mend='pip install "selfstorm[micromanager]"'
        ) from None
    if section.place and not Path(section.place).is_file():
        raise InputError("no such file", where=section.place, mend="name a Micro-Manager configuration (.cfg)")
    configure_logging(stderr_level="CRITICAL")  # it also raises what it logs, and then we say it
    core = CMMCorePlus()
    try:
        if section.place:
            core.loadSystemConfiguration(section.place)
        else:
            adapters = mm_test_adapters.device_adapter_path()
            core.setDeviceAdapterSearchPaths([str(adapters)])
            core.loadSystemConfiguration(str(Path(adapters) / "MMConfig_demo.cfg"))
        for name, value in section.mmcore.properties.items():
            device, _, label = name.partition("-")
            core.setProperty(device, label, value)
        core.setExposure(section.mmcore.exposure_ms)
    except RuntimeError as error:  # what MMCore raises for a device or property that is not there
        raise InputError(
            f"Micro-Manager says: {error}",
            where=section.uri,
            mend="mend the configuration or [source.mmcore]",
        ) from None
    return core


def _binning(core: Any, camera: str) -> int:
    value = str(core.getProperty(camera, "Binning")) if core.hasProperty(camera, "Binning") else "1"
    return int(value.split("x")[0])
