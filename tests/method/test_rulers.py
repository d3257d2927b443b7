"""Rulers: dyes lie at known distances, and pictures that are too blurred do not count as resolved."""

import numpy as np
import pytest
from benchmarks import rulers as benchmark
from scipy.ndimage import gaussian_filter

from selfstorm.errors import InputError
from selfstorm.metrics.ground_truth import render
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.rulers import LINE_NM, Rulers, turns
from selfstorm.simulation.scene import Scene

CELL_NM = 12.5


def rulers(structure, ruler_nm=60.0, **scene):
    made = Movie(Scene(structure=structure, ruler_nm=ruler_nm, height=24, width=32, **scene)).structure
    assert isinstance(made, Rulers)
    return made


def in_own_coordinates(made):
    """Dyes (R, N, 2), across and along their ruler."""
    dyes = made.positions_nm(np.arange(made.sites), 0.0).reshape(len(made.centres_nm), -1, 2)
    return np.einsum("rji,rnj->rni", turns(made.angles_rad), dyes - made.centres_nm[:, None])


def test_lines_are_as_far_apart_as_asked_and_lie_at_all_angles():
    made = rulers("lines")
    across, along = np.moveaxis(in_own_coordinates(made), -1, 0)
    np.testing.assert_allclose(np.abs(across), 30.0)
    assert np.ptp(along, axis=1) == pytest.approx(np.full(len(along), LINE_NM), abs=5)
    assert np.ptp(made.angles_rad) > np.pi


def test_crossing_lines_are_as_far_apart_as_asked_at_their_ends():
    across, along = np.moveaxis(in_own_coordinates(rulers("crossings", 200.0)), -1, 0)
    np.testing.assert_allclose(np.abs(across), np.abs(along) * 200.0 / LINE_NM, atol=1e-6)
    assert np.abs(across).max() == pytest.approx(100.0, abs=1)


def test_rings_have_eight_dyes_on_their_circle():
    own = in_own_coordinates(rulers("rings", 107.0))
    assert own.shape[1] == 8
    np.testing.assert_allclose(np.hypot(own[..., 0], own[..., 1]), 53.5)


def test_emitters_of_a_movie_lie_on_its_drifting_rulers():
    movie = Movie(Scene(structure="rings", height=24, width=24, drift_nm_per_frame=(3.0, -2.0), seed=4))
    emitters = next(movie.emitters(100))
    dyes = movie.structure.positions_nm(np.arange(movie.structure.sites), 100.5)
    assert len(emitters)
    assert np.hypot(*(emitters[:, None, 1:3] - dyes).transpose(2, 0, 1)).min(1).max() < 1e-6


def test_an_unknown_structure_is_refused_by_name():
    with pytest.raises(InputError, match="'dots' is not a structure") as refused:
        Scene(structure="dots")
    assert "rings" in refused.value.hint


@pytest.mark.parametrize(("blur_nm", "share"), [(10.0, 1.0), (40.0, 0.0)])
def test_lines_count_as_resolved_where_the_picture_is_sharp_enough(blur_nm, share):
    made = rulers("lines", pixel_nm=120)
    picture = drawn(made, blur_nm)
    saddles = benchmark.line_saddles(picture, CELL_NM, made, 60.0)
    assert len(saddles) > 3
    assert (saddles <= benchmark.RAYLEIGH_SADDLE).mean() == share


def test_crossings_are_resolved_at_their_ends_and_not_near_the_middle():
    made = rulers("crossings", benchmark.CROSSING_NM, pixel_nm=120)
    saddles = dict(benchmark.crossing_saddles(drawn(made, 15.0), CELL_NM, made))
    assert saddles[120.0] < 0.1
    assert saddles[20.0] > benchmark.RAYLEIGH_SADDLE


def test_rings_are_open_with_corners_only_where_the_picture_is_sharp():
    made = rulers("rings", 107.0)
    sharp, blurred = (benchmark.ring_saddles(drawn(made, blur), CELL_NM, made, 107.0) for blur in (8.0, 60.0))
    assert (sharp[0] < 0.2).all()
    assert sharp[1] < 0.6
    assert (blurred[0] > benchmark.RAYLEIGH_SADDLE).all()
    assert blurred[1] > 0.95


def drawn(made, blur_nm):
    """Picture of all dyes in 24 x 32 pixels or a larger field."""
    dyes = made.positions_nm(np.arange(made.sites), 0.0)
    field_nm = made.world_nm - 2 * made.margin_nm
    shape = tuple(int(side / CELL_NM) for side in field_nm)
    return gaussian_filter(render(dyes, shape, CELL_NM), blur_nm / CELL_NM)


@pytest.mark.parametrize(
    ("resolved", "said"),
    [
        ([False, True, True], "smallest distance resolved: 40 nm"),
        ([True, False, True], "smallest distance resolved: 50 nm"),
        ([True, True, False], "none is resolved"),
    ],
)
def test_the_smallest_distance_is_that_from_which_on_all_are_resolved(resolved, said):
    assert benchmark.smallest(np.array([30.0, 40.0, 50.0]), np.array(resolved)) == said
