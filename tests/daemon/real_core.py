"""The real Micro-Manager core with its demonstration camera, in this process, as pycromanager would show it."""

from contextlib import contextmanager
from pathlib import Path

import pytest


class BridgedCore:
    """pycromanager's names for the real core's methods; errors as the bridge raises them; frames kept by number."""

    def __init__(self, core):
        self._core = core
        self.is_sequence_running = core.isSequenceRunning
        self.get_remaining_image_count = core.getRemainingImageCount
        self.get_image_buffer_size = core.getImageBufferSize
        self.get_buffer_total_capacity = core.getBufferTotalCapacity
        self.get_circular_buffer_memory_footprint = core.getCircularBufferMemoryFootprint
        self.get_camera_device = core.getCameraDevice
        self.get_device_name = core.getDeviceName
        self.get_device_library = core.getDeviceLibrary
        self.get_exposure = core.getExposure
        self.get_pixel_size_um = core.getPixelSizeUm
        self.get_image_bit_depth = core.getImageBitDepth
        self.get_number_of_camera_channels = core.getNumberOfCameraChannels

    def get_n_before_last_tagged_image(self, n):
        try:
            pixels, metadata = self._core.getNBeforeLastImageAndMD(n)
        except (IndexError, RuntimeError) as error:
            raise Exception(str(error)) from None
        return TaggedImage(pixels, {**metadata, "ROI": "-".join(map(str, self._core.getROI()))})


class TaggedImage:
    def __init__(self, pixels, tags):
        self.pix, self.tags = pixels, tags


@contextmanager
def demo_camera(*, exposure_ms, buffer_mb=None):
    mm_test_adapters = pytest.importorskip("mm_test_adapters")
    from pymmcore_plus import CMMCorePlus

    adapters = mm_test_adapters.device_adapter_path()
    core = CMMCorePlus()
    core.setDeviceAdapterSearchPaths([str(adapters)])
    core.loadSystemConfiguration(str(Path(adapters) / "MMConfig_demo.cfg"))
    core.setProperty("Camera", "PixelType", "16bit")
    core.setProperty("Camera", "OnCameraCCDXSize", 128)
    core.setProperty("Camera", "OnCameraCCDYSize", 128)
    core.setExposure(exposure_ms)
    core.setShutterOpen(False)  # the demonstration shutter begins open or closed, as it happens
    if buffer_mb:
        core.setCircularBufferMemoryFootprint(buffer_mb)
    try:
        yield core
    finally:
        if core.isSequenceRunning():
            core.stopSequenceAcquisition()
        core.reset()
        # The core must go before the interpreter does, or the process aborts on the way out.
        del core


def settings_of(core):
    state = core.getSystemState()
    return {
        (setting.getDeviceLabel(), setting.getPropertyName()): setting.getPropertyValue()
        for setting in (state.getSetting(index) for index in range(state.size()))
    } | {"footprint": core.getCircularBufferMemoryFootprint(), "roi": core.getROI()}
