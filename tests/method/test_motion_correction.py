"""The picture of now: motion from localizations, and what held-out localizations choose of it."""

import numpy as np
import pytest
import torch
from streams import learned, reconstruct

from selfstorm.compute.device import prepare_device
from selfstorm.localizations import Localizations
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.motion_correction import RecentLocalizations, choose_correction
from selfstorm.stream.registration import register
from selfstorm.stream.settings import Settings

FIELD_NM = (4_000.0, 4_000.0)
NOW, FRAMES, A_FRAME, PRECISION_NM = 199, 200, 30, 15.0
LINES = (((500.0, 700.0), (1.0, 0.25)), ((3_400.0, 600.0), (-0.6, 1.0)), ((300.0, 3_200.0), (0.9, -0.35)))


def lines(velocity, frames=FRAMES, seed=0):
    """Localizations of dyes on lines: frame, yx_nm, where each lies in the newest frame, and across its line.

    velocity: of a line and of a frame's number, (y, x) nm since frame 0.
    """
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(frames, dtype=float), A_FRAME)
    line = rng.integers(len(LINES), size=len(frame))
    along = rng.uniform(0, 3_000, len(frame))
    start, direction = (np.array([part[n] for part in LINES])[line] for n in (0, 1))
    rest = start + direction / np.linalg.norm(direction, axis=1, keepdims=True) * along[:, None]
    moved = np.array([velocity(n, t) for n, t in zip(line, frame, strict=True)])
    moved_now = np.array([velocity(n, NOW) for n in line])
    found = rest + moved + rng.normal(0, PRECISION_NM, rest.shape)
    normals = np.array([across(direction) for _, direction in LINES])[line]
    return frame, found, found - moved + moved_now, normals


def across(direction):
    y, x = np.array(direction) / np.hypot(*direction)
    return np.array([x, -y])


def table(frame, yx_nm):
    n = len(frame)
    one = torch.ones(n)
    y, x = (torch.as_tensor(column, dtype=torch.float32) for column in yx_nm.T)
    return Localizations(torch.as_tensor(frame).long(), y, x, one, torch.ones(n, 2), one, one, one)


def chosen(frame, yx_nm, first=100, moving=True):
    recent = RecentLocalizations().with_window(table(frame, yx_nm), 0, NOW)
    return choose_correction(recent, first, NOW, field_nm=FIELD_NM, moving=moving)


def errors_nm(registration, frame, found, now_at, normals):
    """Distance of each localization from where its line lies now, after it was moved and before, across the line."""
    moved = found + registration.displacements_nm(frame, found, NOW)
    return [np.abs(((yx - now_at) * normals).sum(1)) for yx in (moved, found)]


def test_a_drift_is_found_to_a_twentieth_of_a_nanometre_a_frame():
    frame, found, *_ = lines(lambda n, t: np.array([0.5, -0.3]) * t)
    registration = register(frame, found, NOW, rigid=True)
    moved = registration.displacements_nm(np.array([100.0]), np.zeros((1, 2)), NOW)
    np.testing.assert_allclose(moved[0] / 99, [0.5, -0.3], atol=0.05)


def test_lines_that_cross_are_moved_each_by_its_own_velocity():
    speeds = (0.8, -0.8, -0.8)
    frame, found, *truth = lines(lambda n, t: speeds[n] * t * across(LINES[n][1]))
    registration = register(frame, found, NOW, rigid=False)
    after, before = (part[frame >= 100] for part in errors_nm(registration, frame, found, *truth))
    assert np.median(after) < 5 < 20 < np.median(before)


def test_a_line_that_speeds_up_is_followed():
    frame, found, *truth = lines(lambda n, t: 0.002 * t**2 * across(LINES[n][1]))
    registration = register(frame, found, NOW, rigid=False)
    after, before = (part[frame >= 100] for part in errors_nm(registration, frame, found, *truth))
    assert np.median(after) < 5 < 25 < np.median(before)


def test_the_same_localizations_give_the_same_bits():
    frame, found, *_ = lines(lambda n, t: 0.4 * t * across(LINES[n][1]))
    one, other = (register(frame, found, NOW, rigid=False).motion for _ in range(2))
    assert np.array_equal(one, other)


def test_a_sample_that_rests_is_drawn_as_it_lay():
    frame, found, *_ = lines(lambda n, t: np.zeros(2))
    for moving in (True, False):
        correction = chosen(frame, found, moving=moving)
        assert (correction.kind, correction.first) == ("none", 100)


def test_a_drift_moves_the_whole_and_parts_move_on_their_own():
    assert chosen(*lines(lambda n, t: np.array([0.5, -0.3]) * t)[:2]).kind == "rigid"
    speeds = (0.8, -0.8, -0.8)
    assert chosen(*lines(lambda n, t: speeds[n] * t * across(LINES[n][1]))[:2]).kind == "local"


def test_parts_that_move_apart_are_found_where_covariances_show_nothing():
    speeds = (0.8, -0.8, -0.8)
    assert chosen(*lines(lambda n, t: speeds[n] * t * across(LINES[n][1]))[:2], moving=False).kind == "local"


def test_where_no_motion_predicts_the_newest_frames_older_ones_are_left_out():
    jump = lambda n, t: (80.0 if t < 160 else 0.0) * across(LINES[n][1]) * (1 if n else -1)  # noqa: E731
    correction = chosen(*lines(jump)[:2])
    assert correction.first > 100


def test_few_localizations_choose_nothing():
    frame, found, *_ = lines(lambda n, t: np.array([0.5, -0.3]) * t)
    assert chosen(frame[::60], found[::60]).kind == "none"


def test_recent_localizations_are_replaced_by_their_window_and_forgotten_after_200_frames():
    frame, found, *_ = lines(lambda n, t: np.zeros(2))
    recent = RecentLocalizations().with_window(table(frame, found), 0, NOW)
    again = recent.with_window(table(frame[frame >= 150] + 50, found[frame >= 150]), 200, 249)
    assert again.frame.min() == 50
    assert again.frame.max() == 249
    replaced = again.with_window(table(frame[:3] + 249, found[:3]), 150, 249)
    assert (replaced.frame >= 150).sum() == 3


@pytest.fixture(scope="module")
def drifting_windows():
    """The last window of a drifting movie: both ways, and where its emitters lie in its newest frame."""
    scene = Scene(
        height=32, width=32, filaments=5, density=5.0, on_frames=0.2, photons=6_000.0, seed=5,
        drift_nm_per_frame=(0.9, -0.6),
    )  # fmt: skip
    movie = Movie(scene)
    raw = np.stack([pixels for _, (pixels, _) in zip(range(150), movie.frames(), strict=False)])
    shown = movie.emitters_moved_to(149, 50, 100)[:, 1:3]
    results = {}
    for motion in ("corrected", "as-it-lay"):
        settings = Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast", motion=motion)
        model = learned(settings, raw[:100], prepare_device("cpu"))
        for start in (0, 25, 50):
            results[motion] = reconstruct(
                model, raw[start : start + 100], WindowSpan(np.arange(start, start + 100), start, 25)
            )
    return results, shown


def test_a_drifting_sample_is_shown_at_the_newest_frame(drifting_windows):
    results, shown = drifting_windows
    scores = {name: score_picture(result.picture, shown, 25.0, align=False) for name, result in results.items()}
    assert scores["corrected"].pearson > scores["as-it-lay"].pearson + 0.1
    assert results["corrected"].motion == "100 frames moved to frame 149, corrected for drift"
    assert results["as-it-lay"].motion == "as it lay"
    left = {name: result.metrics["motion_left_nm"] for name, result in results.items()}
    assert left["corrected"] == 0 < left["as-it-lay"] == results["as-it-lay"].metrics["motion_nm"]


def test_the_table_of_localizations_stays_as_measured(drifting_windows):
    one, other = (result.localizations for result in drifting_windows[0].values())
    assert torch.equal(one.y_nm, other.y_nm)
    assert torch.equal(one.frame, other.frame)
