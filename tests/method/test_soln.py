"""Conditions of SolnBenchmark: distances, activity and score are those that are published."""

import numpy as np
import pytest
from benchmarks.soln import (
    ACTIVE_SHARE,
    EMITTERS,
    active_frames,
    movie,
    recurring_nm,
    rmsmd_nm,
    single_frames,
    spiral_nm,
)


@pytest.mark.parametrize("spacing_nm", [40.0, 20.0])
def test_neighbours_on_the_spiral_are_as_far_apart_as_asked(spacing_nm):
    where = spiral_nm(spacing_nm, np.random.default_rng(1))
    assert where.shape == (EMITTERS, 2)
    np.testing.assert_allclose(np.hypot(*np.diff(where, axis=0).T), spacing_nm, rtol=1e-6)


@pytest.mark.parametrize("frames", ACTIVE_SHARE)
def test_the_published_share_of_emitters_is_active_and_none_for_five_frames(frames):
    active = np.concatenate([active_frames(frames, np.random.default_rng(seed)) for seed in range(10)])
    assert active.mean() == pytest.approx(ACTIVE_SHARE[frames], abs=0.03)
    one = active_frames(frames, np.random.default_rng(1))
    runs = one[4:] & one[3:-1] & one[2:-2] & one[1:-3] & one[:-4]
    assert not runs.any()


def test_a_movie_shows_its_emitters_over_the_background():
    raw, true = movie(10, 40.0, 1)
    assert raw.shape == (10, 32, 32)
    assert np.median(raw) > 819 + 819
    assert 400 < len(true) <= EMITTERS


def test_both_missed_and_invented_points_raise_the_score():
    true = np.array([[0.0, 0.0], [0.0, 100.0]])
    assert rmsmd_nm(true, true) == 0
    assert rmsmd_nm(true[:1], true) == pytest.approx((100**2 / 3) ** 0.5)
    assert rmsmd_nm(np.vstack([true, [[0.0, 400.0]]]), true) == pytest.approx((300**2 / 5) ** 0.5)


def test_single_frames_share_no_emitter():
    raw, where = single_frames(8, 1)
    assert raw.shape == (20, 32, 32)
    assert [len(points) for points in where] == [82] * 20
    assert np.abs(where[0] - where[1]).min() > 0


def test_only_emitters_that_two_frames_show_are_linked_and_at_their_weighted_mean():
    columns = [("frame", int), ("y_nm", float), ("x_nm", float), ("sd_y_nm", float), ("sd_x_nm", float)]
    found = np.array([(0, 100, 500, 2, 2), (3, 104, 500, 4, 4), (3, 900, 900, 4, 4), (9, 104, 500, 4, 4)], columns)
    np.testing.assert_allclose(recurring_nm(found, max_dark=2), [[100.8, 500]])
    np.testing.assert_allclose(recurring_nm(found, max_dark=5), [[101.333, 500]], rtol=1e-4)
    assert recurring_nm(found[:0]).shape == (0, 2)
