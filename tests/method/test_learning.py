"""What is learned from the frames when nobody says: camera, the light's own changes, blinking memory."""

import numpy as np
import pytest
import torch

from selfstorm.physics.camera import calibrate
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stages.covariances import window_statistics
from selfstorm.stream.brightness import frame_gains


def movie(frames, **scene):
    return np.stack([pixels for pixels, _ in simulate(Scene(**scene), frames=frames)])


@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_camera_by_photon_transfer(gain):
    raw = movie(100, density=4, background_photons=30, gain_adu_per_electron=gain, seed=1)
    camera = calibrate(raw)
    assert camera.gain_adu_per_electron == pytest.approx(gain, rel=0.15)
    assert camera.offset_adu == pytest.approx(100.0, abs=20)
    assert "estimated" in str(camera)


def test_what_is_given_is_kept():
    raw = movie(40, seed=1)
    assert calibrate(raw, 100.0, 4.0) == calibrate(raw[:10], 100.0, 4.0)
    assert calibrate(raw, offset_adu=100.0).offset_adu == 100.0
    assert calibrate(raw, gain_adu_per_electron=4.0).gain_adu_per_electron == 4.0


def test_camera_says_when_it_cannot_tell():
    flat = np.full((30, 32, 32), 500, np.uint16)
    camera = calibrate(flat)
    assert "assumed" in str(camera)
    assert camera.offset_adu <= 500


def test_flicker_and_bleaching_are_found():
    scene = {"density": 3, "background_photons": 60, "seed": 5}
    raw = movie(150, flicker=0.05, bleaching_half_life_frames=200, **scene)
    gains = frame_gains(torch.tensor((raw - 100.0) / 4)).flatten().numpy()
    light = 0.5 ** (np.arange(150) / 200)
    assert np.corrcoef(gains, light)[0, 1] > 0.8
    assert gains[:10].mean() / gains[-10:].mean() == pytest.approx(light[:10].mean() / light[-10:].mean(), rel=0.1)


def test_a_steady_lamp_is_left_alone():
    raw = movie(150, density=1, background_photons=60, seed=5)
    assert frame_gains(torch.tensor((raw - 100.0) / 4)).std() < 0.02


@pytest.mark.parametrize(("on_frames", "low", "high"), [(0.1, -0.15, 0.15), (4.0, 0.5, 1.0)])
def test_blinking_memory(on_frames, low, high):
    raw = movie(200, density=3, on_frames=on_frames, background_photons=20, seed=6)
    assert low < window_statistics(torch.tensor((raw - 100.0) / 4)).memory < high
