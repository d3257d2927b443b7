"""Light that is no structure: a lamp that flickers, emitters far out of focus that blink."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from streams import learned, movie_windows, reconstruct

from selfstorm.physics.operators import Grid
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Movie, Scene, simulate
from selfstorm.stages.covariances import trend
from selfstorm.stages.out_of_focus import OutOfFocusBackground, far_covariance
from selfstorm.stream.brightness import frame_gains
from selfstorm.stream.frame_store import WindowSpan, numbers_of
from selfstorm.stream.settings import Settings
from selfstorm.stream.window import WindowFrames

CLEAR = Scene(height=40, width=44, filaments=5, density=1.5, on_frames=0.8, flicker=0.03, seed=5)
HAZY = replace(CLEAR, haze_density=1.5, haze_photons=2_500.0, haze_blur_nm=500.0)
FRAMES = 100


@pytest.fixture(scope="module")
def movies():
    """(raw, emitters) without haze and with it."""
    shots = {scene: zip(*simulate(scene, frames=FRAMES), strict=True) for scene in (CLEAR, HAZY)}
    return {scene: (np.stack(raw), np.concatenate(emitters)) for scene, (raw, emitters) in shots.items()}


def photons(raw):
    return torch.as_tensor((raw.astype(np.float32) - 100) / 4)


def changes(raw):
    """What is taken for haze when nothing is known of the emitters but how much light they give."""
    y, grid = photons(raw), Grid(*raw.shape[1:], 4, 100.0)
    even, background = torch.full(grid.cells, 0.5), torch.full(raw.shape[1:], 40.0)
    gains = frame_gains(y)
    haze, varies = OutOfFocusBackground(Gaussian(110.0), grid, y), far_covariance(y / gains - trend(y / gains))
    drawn = haze.evaluate(haze.fit(y, gains, even, background, varies))
    return (drawn - drawn.mean(0)).numpy()


def test_haze_is_no_part_of_the_truth_and_the_same_from_any_frame_on(movies):
    (clear, emitters), (hazy, same_emitters) = movies[CLEAR], movies[HAZY]
    np.testing.assert_array_equal(emitters, same_emitters)
    assert hazy.mean() > clear.mean() + 4 * 5
    entered = [pixels for pixels, _ in simulate(HAZY, start_frame=70, frames=5)]
    np.testing.assert_array_equal(entered, hazy[70:75])


def test_haze_is_smooth():
    movie = Movie(HAZY)
    haze = np.stack(list(islice(movie.out_of_focus_photons(0), 20)))
    steps = np.diff(haze, axis=2)
    assert haze.std(0).mean() > 3
    assert steps.std() < 0.3 * haze.std()


@pytest.mark.parametrize(("flicker", "error"), [(0.0, 0.015), (0.05, 0.04)])
def test_gains_follow_the_lamp_and_nothing_else(flicker, error):
    scene = replace(CLEAR, flicker=flicker, seed=2)
    movie = Movie(scene)
    gains = frame_gains(photons(np.stack([pixels for pixels, _ in simulate(scene, frames=FRAMES)]))).flatten().numpy()
    lamp = np.array([movie.illumination(frame) for frame in range(FRAMES)])
    assert (gains - lamp / lamp.mean()).std() < error


def test_a_window_takes_the_brightness_of_its_own_frames_from_ingest_and_no_other(movies):
    raw = movies[CLEAR][0]
    model = learned(Settings(100.0, Gaussian(110.0), 100.0, 4.0, estimate="density", quality="fast"), raw[:50])
    movie_windows(raw, model, 50, 25)
    state = model.learned.state
    whole = WindowSpan(numbers_of(state.buffer), 50, 25)
    window, alone = (WindowFrames.of(state.buffer, (), whole, known) for known in (state.gains, None))
    assert window.gains is state.gains.gains
    torch.testing.assert_close(window.gains, alone.gains, rtol=1e-6, atol=0)
    newest = WindowSpan(whole.numbers[25:], 75, 25)
    torch.testing.assert_close(
        WindowFrames.of(state.buffer, (), newest, state.gains).gains, frame_gains(state.buffer[-1].y), rtol=0, atol=0
    )


def test_haze_is_found_and_emitters_are_not_taken_for_it(movies):
    movie = Movie(HAZY)
    true = np.stack(list(islice(movie.out_of_focus_photons(0), FRAMES)))
    true -= true.mean(0)
    assert (changes(movies[HAZY][0]) - true).std() < 0.7 * true.std()
    assert changes(movies[CLEAR][0]).std() < 0.3 * true.std()


def share_of_light_far_from_emitters(raw, emitters):
    settings = Settings(100.0, Gaussian(110.0), 100.0, 4.0, estimate="density", quality="fast")
    picture = reconstruct(learned(settings, raw), raw).picture
    rows, columns = ((np.arange(n) + 0.5) * 25.0 for n in picture.shape)
    away = np.full(picture.shape, np.inf)
    for y_nm, x_nm in np.unique(np.round(emitters[:, 1:3] / 50) * 50, axis=0):
        away = np.minimum(away, np.hypot(rows[:, None] - y_nm, columns - x_nm))
    assert (away > 250).mean() > 0.3
    return picture[away > 250].sum() / picture.sum()


@pytest.mark.parametrize("scene", [CLEAR, HAZY], ids=["clear", "hazy"])
def test_an_empty_region_stays_empty_under_haze_and_flicker(movies, scene):
    assert share_of_light_far_from_emitters(*movies[scene]) < 0.02
