"""Movies of the benchmark of misleading light have the difficulty that they are named for."""

import numpy as np
import pytest
from benchmarks.kinds import KINDS, LightKind, filmed

SMALL = {"height": 16, "width": 24}


def small(name, frames=8, **scene):
    kind = KINDS[name]
    return filmed(LightKind(SMALL | dict(kind.scene) | SMALL | scene, kind.movie, frames, kind.saturated_share), 3)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_films_frames_of_its_own(name):
    movie, raw = small(name)
    assert raw.shape == (8, 16, 24)
    assert raw.dtype == np.uint16
    assert len(movie.emitters_moved_to(7, 0, 8))
    if name != "plain":
        assert (raw != small("plain")[1]).any()


def test_a_beam_lights_the_middle_most():
    mean = small("beam", 8, density=0.0, haze_density=0.0)[1].mean(0)
    assert mean[4:12, 8:16].mean() > mean[:, [0, -1]].mean() + 20


def test_the_share_of_values_that_is_asked_for_is_saturated():
    raw = small("saturated")[1]
    assert (raw == raw.max()).mean() == pytest.approx(KINDS["saturated"].saturated_share, abs=0.01)


def test_a_cell_is_ten_times_as_bright_inside_its_edge():
    background = small("edge")[0].background_photons
    assert background.max() / background.min() == pytest.approx(10, rel=0.01)


def test_the_psf_is_the_given_one_on_the_left_and_another_on_the_right():
    varying, plain = (small(name)[0] for name in ("varying-psf", "plain"))
    photons, sides = np.array([1_000.0]), (np.array([[800.0, x]]) for x in (0.0, 2_400.0))
    left, right = ((varying.spots(at, photons), plain.spots(at, photons)) for at in sides)
    np.testing.assert_allclose(*left)
    assert right[0].max() < 0.7 * right[1].max()
