"""A PSF that differs over the field is told, with the places; differences in light are not taken for it."""

import numpy as np
import pytest
from benchmarks.kinds import KINDS, NA, WAVELENGTH_NM, LightKind, filmed
from streams import learned, reconstruct

from selfstorm.calibration.psf_variation import compare_widths, part_moments
from selfstorm.metrics.verdict import MAX_PSF_VARIATION
from selfstorm.psf.models import Airy
from selfstorm.stream.psf_learning import PsfLearning
from selfstorm.stream.settings import Settings

SETTINGS = Settings(100.0, Airy(NA, WAVELENGTH_NM), 100.0, 4.0, scale=2, estimate="density", tuning_steps=0)


def movie(name, frames=80, seed=5, **scene):
    options = {"height": 26, "width": 38, "offset_variation_adu": 0.0, "photons": 1_500.0} | scene
    return filmed(LightKind(options, KINDS[name].movie, frames), seed)[1]


@pytest.fixture(scope="module")
def varying():
    return movie("varying-psf")


def test_widths_are_told_with_their_places(varying):
    found = compare_widths(part_moments(varying))
    assert found.widths.shape == (2, 3)
    assert (np.diff(found.widths, axis=1) > 0).all()
    assert 1.2 < 1 + found.relative < 1.6
    places = str(found).split(" and widest ")
    assert "left" in places[0]
    assert "right" in places[1]


@pytest.mark.parametrize("scene", [{}, {"photons": 200.0}, {"flicker": 0.1}, {"on_frames": 6.0}])
def test_one_psf_for_all_of_the_field_is_told_as_one(scene):
    assert compare_widths(part_moments(movie("plain", **scene))).relative < 0.05


def test_light_that_fades_towards_the_edges_does_not_widen_what_blinks():
    raw = movie("beam", 120, seed=21, height=40, width=40)
    assert compare_widths(part_moments(raw)).relative < 0.1


def test_nothing_is_said_where_there_is_too_little_light_or_field(varying):
    assert compare_widths(part_moments(varying[:40])) is None
    assert compare_widths(part_moments(varying[:, :20, :20])) is None
    assert compare_widths(part_moments(np.random.default_rng(1).poisson(30, (80, 26, 38)))) is None
    assert compare_widths(part_moments(np.full((80, 26, 38), 7.0))) is None


def test_stripes_that_move_have_no_width():
    y, x, time = np.arange(26)[:, None], np.arange(38), np.arange(80)[:, None, None]
    stripes = np.random.default_rng(3).poisson(100 + 80 * np.sin(0.3 * y + 0.6 * x + 0.8 * time))
    assert PsfLearning().with_changes(stripes).variation is None


def test_parts_add_up_over_frames_that_arrive_one_after_another(varying):
    whole = compare_widths(part_moments(varying))
    blocks = [block for first in range(0, 80, 20) for block in part_moments(varying[first : first + 20])]
    assert compare_widths(blocks).relative == pytest.approx(whole.relative, rel=0.3)


def test_the_record_of_a_picture_says_so_until_the_scene_changes(varying):
    model = learned(SETTINGS, varying)
    result = reconstruct(model, varying)
    assert result.metrics["psf_variation"] > MAX_PSF_VARIATION
    said = " ".join(result.notes)
    assert "The PSF differs over the field" in said
    assert "Choose a smaller region" in said
    assert "sharpest at the" in said
    state = model.learned.state
    assert state.for_next_scene(80, SETTINGS.psf).psf_learning.variation is None
    plain = movie("plain")
    assert not any("PSF" in note for note in reconstruct(learned(SETTINGS, plain), plain).notes)
