"""An acquisition of the demonstration camera, saved as NDTiff: FOLDER FRAMES TRUTH.npy (what was saved)."""

import sys

import numpy as np
from mm_test_adapters import device_adapter_path
from pycromanager import Acquisition, Core, multi_d_acquisition_events, start_headless, stop_headless

CAMERA = {"PixelType": "16bit", "OnCameraCCDXSize": 64, "OnCameraCCDYSize": 48, "Mode": "Noise"}


def main(folder, frames, truth):
    adapters = str(device_adapter_path())
    start_headless(adapters, config_file=f"{adapters}/MMConfig_demo.cfg", python_backend=True)
    core = Core()
    core.set_exposure(4)
    for name, value in CAMERA.items():
        core.set_property("Camera", name, value)
    saved = []

    def keep(image, metadata):
        saved.append(image.copy())
        return image, metadata

    with Acquisition(directory=folder, name="acq", show_display=False, image_process_fn=keep) as acquisition:
        acquisition.acquire(multi_d_acquisition_events(num_time_points=frames, time_interval_s=0))
    np.save(truth, np.array(saved))
    del core
    stop_headless()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
