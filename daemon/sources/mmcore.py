"""mmcore:[CONFIG.cfg], Micro-Manager's core in this process.

It runs without Micro-Manager's Java window. The acquisition is ours, so images are popped from the circular buffer.
Each fault has its sign:

    numbers are skipped             the buffer ran over and was emptied: so many frames are lost, the sequence goes on
    only its clock skips            the camera itself missed frames: an estimate, the sequence goes on
    the sequence stopped            the camera was stopped, or its images changed their size, which its buffer does not
                                    allow: started again at once, a new stream
    it stops without a frame,       the camera fails: this process ends with the reason, and is started again until the
    or cannot be started            camera works; only a fresh process initialises a device for certain
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from daemon.config_base import Section
from daemon.sources.camera import CameraError, CameraFrame, Lost, Resume, SourceEvent, Waiting
from daemon.sources.camera_clock import CameraClock
from daemon.sources.field import stream_info
from daemon.sources.losses import LossCause
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError
from selfstorm.frames import Array, PixelType, StreamInfo

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

POLL_S = 0.002
GONE = "no camera is there any more: was it switched off?"
PIXEL_TYPES: dict[int, PixelType] = {1: "uint8", 2: "uint16", 4: "float32"}


class MMCoreSection(Section):
    """[source.mmcore]: the Micro-Manager core in process.

    Attributes:
        exposure_ms: exposure of the camera.
        buffer_mb: memory of the core's "sequence buffer", for frames that are not fetched yet.
        properties: "Device-Property" = value, set after loading.
    """

    exposure_ms: Annotated[float, Field(gt=0, le=60_000)] = 20.0
    buffer_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 512
    properties: dict[str, str | int | float] = Field(default_factory=dict)


class MMCore:
    """Continuous sequence of a camera.

    Args:
        section: the configuration of the source, with a .cfg file as its place; DemoCamera without one.
        stop: ends the source.

    Raises:
        InputError: Micro-Manager's core is not installed, or cannot load the configuration.
    """

    def __init__(self, section: SourceSection, stop: threading.Event, _resume: Resume) -> None:
        self._section, self._stop = section, stop
        self._core = _loaded_core(section)

    def events(self) -> Iterator[SourceEvent]:
        """Yield the events of every sequence, until stopped."""
        core, again = self._core, False
        try:
            while not self._stop.is_set():
                info = self._describe()
                try:
                    core.startContinuousSequenceAcquisition(0)
                except RuntimeError as error:
                    raise CameraError(f"{info.camera} cannot be started: {_one_line(error)}") from None
                if again:  # not earlier: a camera that cannot be started again fails
                    yield Waiting(f"{info.camera} had stopped its sequence, and was started again")
                again = True
                yield info
                yield from self._sequence(info.camera)
        except (RuntimeError, SystemError) as error:  # SystemError: from pymmcore, of images whose camera is gone
            raise CameraError(f"Micro-Manager says: {_one_line(error)}" if core.getCameraDevice() else GONE) from None
        finally:
            if core.isSequenceRunning():
                core.stopSequenceAcquisition()
            core.reset()
            # The core must go before the interpreter does, or the process aborts on the way out.
            del core, self._core

    def _sequence(self, camera: str | None) -> Iterator[SourceEvent]:
        """Yield the frames of one sequence.

        It ends once the sequence has stopped and its buffer is empty.

        Raises:
            CameraError: the sequence gave no frame.
        """
        core, expected, stopped = self._core, 0, False
        clock = CameraClock(core.getDeviceLibrary(core.getCameraDevice()))
        while not self._stop.is_set():
            image = _oldest(core)
            if image is None:
                if stopped and not expected:
                    raise CameraError(f"{camera} stops before its first frame: is it connected, and free?")
                if stopped:
                    return
                stopped = not core.isSequenceRunning()  # what came in by then is still taken
                self._stop.wait(POLL_S)
                yield None
                continue
            pixels, number, camera_ms = image
            if number > expected:
                yield Lost(number - expected)
            expected = number + 1
            yield CameraFrame(pixels, number, camera_ms)
            if inside := clock.passed(number, camera_ms):
                yield Lost(inside, LossCause.IN_CAMERA)

    def _describe(self) -> StreamInfo:
        core = self._core
        camera = core.getCameraDevice()
        if not camera:
            raise CameraError(GONE)
        pixel_type = PIXEL_TYPES.get(core.getBytesPerPixel())
        if pixel_type is None or core.getNumberOfComponents() != 1:
            raise InputError(
                f"{camera} gives colour pixels",
                where=self._section.uri,
                hint="set its PixelType to 8bit or 16bit",
            )
        if core.getNumberOfCameraChannels() > 1:
            raise InputError(
                f"{camera} is several cameras at once",
                where=self._section.uri,
                hint='name one of them: "Core-Camera" = "NAME" under [source.mmcore.properties]',
            )
        x, y, width, height = core.getROI()
        return stream_info(
            self._section.uri,
            f"{camera} ({core.getDeviceName(camera)})",
            height=height,
            width=width,
            dtype=pixel_type,
            pixel_um=core.getPixelSizeUm(),
            exposure_ms=core.getExposure(),
            bit_depth=core.getImageBitDepth(),
            binning=str(core.getProperty(camera, "Binning")) if core.hasProperty(camera, "Binning") else "",
            roi_yx=(y, x),
        )


def _loaded_core(section: SourceSection) -> CMMCorePlus:
    core, options = open_core(section.place, section.uri), section.options(MMCoreSection) or MMCoreSection()
    try:
        for name, value in options.properties.items():
            device, _, label = name.partition("-")
            core.setProperty(device, label, value)
        core.setExposure(options.exposure_ms)
        core.setCircularBufferMemoryFootprint(options.buffer_mb)
    except RuntimeError as error:  # of a device or property that is not there
        raise _refusal(error, section.uri) from None
    return core


def open_core(place: str, uri: str) -> CMMCorePlus:
    """Open a Micro-Manager core in this process.

    Args:
        place: path of a configuration (.cfg); DemoCamera's where it is empty.
        uri: that the user gave, for error messages.

    Raises:
        InputError: Micro-Manager's core is not installed, or cannot load the configuration.
    """
    try:
        import mm_test_adapters
        from pymmcore_plus import CMMCorePlus, configure_logging
    except ImportError:
        raise InputError(
            "needs Micro-Manager's core", where=uri, hint='pip install "selfstorm[micromanager]"'
        ) from None
    if place and not Path(place).is_file():
        raise InputError("no such file", where=place, hint="name a Micro-Manager configuration (.cfg)")
    configure_logging(stderr_level="CRITICAL")  # it also raises what it logs
    core = CMMCorePlus()
    try:
        if place:
            core.loadSystemConfiguration(place)
        else:
            adapters = mm_test_adapters.device_adapter_path()
            core.setDeviceAdapterSearchPaths([str(adapters)])
            core.loadSystemConfiguration(str(Path(adapters) / "MMConfig_demo.cfg"))
    except (RuntimeError, OSError) as error:  # OSError: with the line of the configuration
        raise _refusal(error, uri) from None
    return core


def _refusal(error: Exception, uri: str) -> InputError:
    hint = "correct the configuration or [source.mmcore]"
    return InputError(f"Micro-Manager says: {_one_line(error)}", where=uri, hint=hint)


def _oldest(core: CMMCorePlus) -> tuple[Array, int, float] | None:
    """Take the oldest image from the buffer.

    Returns:
        Its pixels, number and time in ms; None from an empty buffer.
    """
    if core.getRemainingImageCount() == 0:
        return None
    try:
        pixels, metadata = core.popNextImageAndMD()
    except IndexError:  # it ran over, and was emptied, since we looked
        return None
    return pixels, int(metadata["ImageNumber"]), float(metadata["ElapsedTime-ms"])


def _one_line(error: Exception) -> str:
    """Join the lines of Micro-Manager's message."""
    return " ".join(str(error).split())
