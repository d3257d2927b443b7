"""Drift of the stage, from localizations alone."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from selfstorm.commands.drift_file import DriftFile
from selfstorm.errors import InputError
from selfstorm.localizations import Localizations
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene
from selfstorm.stream.drift import DriftCurve, estimate_drift
from selfstorm.stream.drift_pairs import shift_between
from selfstorm.stream.drift_smoothing import smoothed

FRAMES, PRECISION_NM = 600, 15.0


def recording(drift_nm, a_frame, seed=0):
    """Localizations of dyes on filaments that drift: frame, yx_nm. drift_nm: (T, 2)."""
    rng = np.random.default_rng(seed)
    filaments = Movie(Scene(height=40, width=40, filaments=6, seed=seed)).structure
    frame = np.repeat(np.arange(len(drift_nm)), rng.poisson(a_frame, len(drift_nm)))
    at = filaments.positions_nm(rng.integers(filaments.sites, size=len(frame)), 0.0)
    inside = ((at > 0) & (at < 4_000)).all(1)
    frame, at = frame[inside], at[inside]
    return frame.astype(float), at + drift_nm[frame] + rng.normal(0, PRECISION_NM, at.shape)


def left_nm(drift_nm, curve):
    error = curve.at(np.arange(len(drift_nm), dtype=float)) - drift_nm
    return np.sqrt(((error - error.mean(0)) ** 2).mean())


def linear():
    return np.arange(FRAMES)[:, None] * [0.5, -0.3]


def random_walk():
    return np.cumsum(np.random.default_rng(1).normal(0, 0.4, (FRAMES, 2)), 0)


def thermal_step():
    time = np.arange(FRAMES)
    rise = np.where(time > 300, 60 * (1 - np.exp(-(time - 300) / 40)), 0.0)
    return np.stack([rise, 40 * np.sin(time / 150)], -1)


@pytest.mark.parametrize("drift", [linear, random_walk, thermal_step], ids=lambda drift: drift.__name__)
def test_less_than_two_nanometres_of_a_drift_are_left_at_forty_localizations_a_frame(drift):
    assert left_nm(drift(), estimate_drift(*recording(drift(), 40))) < 1.5


def test_a_sample_at_rest_has_no_drift():
    rest = np.zeros((FRAMES, 2))
    assert left_nm(rest, estimate_drift(*recording(rest, 40))) < 1.0


@pytest.mark.parametrize(("a_frame", "left"), [(40, 1.0), (5, 3.0)])
def test_a_drift_of_a_micron_is_followed(a_frame, left):
    drift = np.arange(FRAMES)[:, None] * [2.0, 0.0]
    assert left_nm(drift, estimate_drift(*recording(drift, a_frame))) < left


def measured(drift_nm, sd_nm, seed=0):
    """Measurements of every fifth frame, (frame, nm, nm^2)."""
    frame = np.arange(0.0, len(drift_nm), 5.0)
    noise = np.random.default_rng(seed).normal(0, sd_nm, (len(frame), 2))
    return frame, drift_nm[::5] + noise, np.full((len(frame), 2), sd_nm**2)


@pytest.mark.parametrize(
    ("drift", "left"), [(linear, 0.3), (thermal_step, 0.5), (random_walk, 0.7)], ids=["linear", "thermal", "walk"]
)
def test_a_curve_is_smoothed_as_strongly_as_it_is_smooth(drift, left):
    frame, found, variance = measured(drift(), 5.0)
    error = smoothed(frame, found, variance).yx_nm - drift()[::5]
    assert np.sqrt((error**2).mean()) < left * 5.0


def test_the_scale_of_the_errors_is_found_and_a_curve_goes_on_at_its_velocity():
    frame, found, variance = measured(linear(), 5.0)
    drift = smoothed(frame, found, variance / 4)
    np.testing.assert_allclose(drift.velocity_nm[-1], [0.5, -0.3], atol=0.03)
    np.testing.assert_allclose(drift.at(frame[-1] + 20) - drift.yx_nm[-1], [10, -6], atol=0.6)


def test_a_measurement_that_tells_nothing_changes_nothing():
    frame, found, variance = measured(linear(), 1.0)
    found[60], variance[60] = 500.0, np.inf
    np.testing.assert_allclose(smoothed(frame, found, variance).yx_nm[60], linear()[300], atol=1.0)


def test_too_few_localizations_give_no_curve():
    frame, at = recording(linear(), 0.5)
    curve = estimate_drift(frame, at)
    assert not len(curve.frame)
    assert not curve.at(np.arange(3.0)).any()
    assert not len(estimate_drift(frame[:0], at[:0]).frame)


def test_the_same_localizations_give_the_same_curve():
    one, other = (estimate_drift(*recording(linear(), 30)) for _ in range(2))
    assert np.array_equal(one.yx_nm, other.yx_nm)


def test_a_curve_is_interpolated_and_held_at_its_ends():
    curve = DriftCurve(np.array([10.0, 20.0]), np.array([[0.0, 0.0], [4.0, -2.0]]))
    np.testing.assert_allclose(curve.at(np.array([0.0, 15.0, 99.0])), [[0, 0], [2, -1], [4, -2]])


def test_the_shift_between_two_samplings_of_a_structure_is_found():
    frame, at = recording(np.zeros((40, 2)), 100)
    moved = at[frame >= 20] + [35.0, -50.0]
    np.testing.assert_allclose(shift_between(cKDTree(at[frame < 20]), moved)[0], [35.0, -50.0], atol=4.0)


def test_nothing_to_compare_gives_no_shift():
    for reference, found in ((np.zeros((0, 2)), np.ones((3, 2))), (np.zeros((2, 2)), np.full((3, 2), 1e6))):
        shift, variance = shift_between(cKDTree(reference), found)
        assert not shift.any()
        assert np.isinf(variance).all()


def table(frame, yx_nm):
    one = torch.ones(len(frame))
    y, x = torch.as_tensor(yx_nm, dtype=torch.float32).T
    return Localizations(torch.as_tensor(frame).long(), y, x, one, torch.ones(len(frame), 2), one, one, one)


def test_a_drift_file_has_a_row_for_every_frame(tmp_path):
    frame, at = recording(linear(), 20)
    file = DriftFile(tmp_path / "drift.csv")
    file.add(table(frame[frame < 300], at[frame < 300]))
    file.add(table(frame[frame >= 300], at[frame >= 300]))
    assert file.write() == FRAMES
    lines = (tmp_path / "drift.csv").read_text().splitlines()
    assert lines[0] == "frame,y_nm,x_nm"
    rows = np.array([[float(value) for value in line.split(",")] for line in lines[1:]])
    np.testing.assert_array_equal(rows[:, 0], np.arange(FRAMES))
    np.testing.assert_allclose(rows[-1, 1:] - rows[0, 1:], linear()[-1], atol=12)


def test_a_drift_file_replaces_nothing_and_is_not_written_from_too_little(tmp_path):
    path = tmp_path / "drift.csv"
    few = DriftFile(path)
    assert few.write() == 0
    assert not path.exists()
    path.write_text("mine")
    frame, at = recording(linear(), 10)
    file = DriftFile(path)
    file.add(table(frame, at))
    with pytest.raises(InputError):
        file.write()
    assert path.read_text() == "mine"


def test_frames_without_localizations_leave_the_curve_in_order():
    rng = np.random.default_rng(0)
    frame = np.sort(rng.integers(0, 1000, 8_000)).astype(float)
    frame = frame[(frame < 400) | (frame >= 600)]
    curve = estimate_drift(frame, rng.uniform(0, 5000, (len(frame), 2)))
    assert (np.diff(curve.frame) > 0).all()
    assert not ((curve.frame > 400) & (curve.frame < 600)).any()
