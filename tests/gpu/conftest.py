"""These run where there is a CUDA or MPS device, and say so where there is none: tools/gpu.py runs them all."""

import numpy as np
import pytest
import torch

from selfstorm.compute.device import prepare_device
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene


def pytest_collection_modifyitems(items):
    for item in items:
        if "gpu" in item.path.parts:
            item.add_marker("gpu")


@pytest.fixture(scope="session")
def device():
    for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if there:
            return prepare_device(name)
    return pytest.skip("this machine has no CUDA or MPS device")


@pytest.fixture(scope="session")
def cuda(device):
    if device.type != "cuda":
        pytest.skip("this is about CUDA, and this machine has none")
    return device


@pytest.fixture(scope="session")
def movie():
    """(frames, emitters): 125 frames of 64 x 64 pixels, (T, H, W) ADU, and (N, 3) frame, y_nm, x_nm."""
    shots = list(simulate(Scene(height=64, width=64, filaments=10, density=5.0, photons=1200.0, seed=41), frames=125))
    emitters = [np.c_[np.full(len(e), t), e[:, 1:3]] for t, (_, e) in enumerate(shots)]
    return np.stack([pixels for pixels, _ in shots]), np.concatenate(emitters)
