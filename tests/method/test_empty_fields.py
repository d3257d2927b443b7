"""Where nothing blinks nothing is drawn, even if neither the camera nor the optics are known."""

import numpy as np
import pytest
from streams import learned, reconstruct

from selfstorm.calibration.field_moments import FieldMoments
from selfstorm.calibration.focus import assess_focus
from selfstorm.compute.device import prepare_device
from selfstorm.metrics.verdict import verdict
from selfstorm.physics.camera import calibrate
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stream.processing_level import degradation_ladder
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


@pytest.mark.parametrize("camera", [{}, {"offset_adu": 100.0, "gain_adu_per_electron": 4.0}], ids=["unknown", "given"])
def test_a_dark_field_is_empty_and_every_figure_is_a_number(camera):
    raw = np.full((20, 16, 16), 100, np.uint16)
    picture = reconstruct(learned(Settings(100.0, quality="fast", **camera), raw, CPU), raw)
    assert not picture.picture.any()
    assert picture.metrics["misfit"] == 0
    assert np.isfinite(list(picture.metrics.values())).all()


@pytest.mark.parametrize("given", [{}, {"gain_adu_per_electron": 4.0}, {"offset_adu": 100.0}], ids=str)
@pytest.mark.parametrize("field", ["flat light", "dim light", "amplified"])
def test_a_camera_that_cannot_be_told_is_as_noisy_as_measured(field, given):
    raw = FIELDS[field]
    camera = calibrate(raw, **given)
    assert "assumed" in str(camera)
    photons = camera.photons(raw)
    assert photons.var(0).mean() == pytest.approx(np.median(photons.mean(0)), rel=0.15)
    assert {name: getattr(camera, name) for name in given} == given


def blurred(frames, **scene):
    options = {"height": SIDE_PX, "width": SIDE_PX, "filaments": 6, "photons": 1_500.0, "density": 3.0, **scene}
    return np.stack([pixels for pixels, _ in simulate(Scene(**options, seed=8), frames=frames)])


SHARP, BLURRED = {"photons": 800.0}, {"psf_sigma_nm": 350.0}
OUT_OF_FOCUS = {
    "structure": BLURRED,
    "haze": {"density": 0.0, "haze_density": 3.0, "haze_blur_nm": 400.0},
    "defocus": {"na": 1.4, "wavelength_nm": 670.0, "psf_defocus_rad": 1.3},
}


@pytest.mark.parametrize("scene", OUT_OF_FOCUS.values(), ids=OUT_OF_FOCUS)
def test_nothing_is_drawn_out_of_focus_at_any_level_and_the_picture_says_why(scene):
    raw, settings = blurred(60, **scene), Settings(100.0, quality="fast", scale=4)
    for level in (settings.level, settings.level.preview, degradation_ladder(settings.level)[-1]):
        model = learned(settings, raw, CPU)
        made = reconstruct(model, raw, level=level)
        assert not made.picture.any()
        assert made.localizations is None or not len(made.localizations)
        assert any("Out of focus: what blinks is" in note for note in made.notes)
    judged = verdict(made.metrics)
    assert (judged.value, judged.level) == ("out of focus", "bad")


def test_pictures_follow_the_focus_when_it_is_lost_and_found():
    settings = Settings(100.0, quality="fast", scale=2, estimate="density")
    model = learned(settings, blurred(40, **BLURRED), CPU)
    for scene, drawn in ((BLURRED, False), (SHARP, True), (BLURRED, False), (SHARP, True)):
        for _ in range(2):
            made = reconstruct(model, blurred(40, **scene))
        assert made.picture.any() == drawn
    assert model.learned.calibration.psf.equivalent_sigma_nm == pytest.approx(110, rel=0.15)


@pytest.mark.parametrize("given", [None, Gaussian(110.0), Gaussian(350.0)], ids=str)
def test_a_psf_as_wide_as_the_given_one_is_in_focus(given):
    moments = FieldMoments()
    moments.add(blurred(60, **BLURRED))
    focus = assess_focus(moments, 100.0, given)
    assert focus.lost == (given != Gaussian(350.0))
    assert focus.blinking_sigma_nm == pytest.approx(350, rel=0.1)
