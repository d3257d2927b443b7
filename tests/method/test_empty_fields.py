"""Where nothing blinks nothing is drawn, even if neither the camera nor the optics are known."""

import numpy as np
import pytest
from streams import learned, reconstruct

from selfstorm.compute.device import prepare_device
from selfstorm.physics.camera import calibrate
from selfstorm.stream.settings import Settings

CPU = prepare_device("cpu")
FRAMES, SIDE_PX = 100, 40


def noise(photons, read_electrons, gain, offset=100, seed=5):
    """Counts of a camera in steady light of so many photons, the same everywhere."""
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(photons, (FRAMES, SIDE_PX, SIDE_PX)) + rng.normal(
        0, read_electrons, (FRAMES, SIDE_PX, SIDE_PX)
    )
    pattern = rng.normal(0, 2, (SIDE_PX, SIDE_PX))
    return np.clip(np.round(electrons * gain + offset + pattern), 0, 65_535).astype(np.uint16)


FIELDS = {
    "flat light": noise(80, 0, 4.0),
    "read noise": noise(0, 1.5, 4.0),
    "dim light": noise(5, 1.5, 4.0),
    "amplified": noise(10, 1.5, 30.0),
}


@pytest.mark.parametrize("raw", FIELDS.values(), ids=FIELDS)
def test_an_empty_field_is_not_filled(raw):
    found = reconstruct(learned(Settings(100.0, quality="fast"), raw, CPU), raw).localizations
    assert found is None or len(found) <= 0.1 * FRAMES


@pytest.mark.parametrize("given", [{}, {"gain_adu_per_electron": 4.0}, {"offset_adu": 100.0}], ids=str)
@pytest.mark.parametrize("field", ["flat light", "dim light", "amplified"])
def test_a_camera_that_cannot_be_told_is_as_noisy_as_measured(field, given):
    raw = FIELDS[field]
    camera = calibrate(raw, **given)
    assert "assumed" in str(camera)
    photons = camera.photons(raw)
    assert photons.var(0).mean() == pytest.approx(np.median(photons.mean(0)), rel=0.15)
    assert {name: getattr(camera, name) for name in given} == given
