"""Stage A's memory of earlier windows: drift, long and short memory, another scene, none at all."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from streams import learned, movie_windows, reconstruct

from selfstorm.compute.device import prepare_device
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.physics.operators import Grid, LaggedCovariance
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stages.covariances import statistics_of, sums_of, trend, window_statistics
from selfstorm.stages.density import density
from selfstorm.stream.brightness import frame_gains
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.covariance_history import CovarianceHistory
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.motion import align_and_sum, velocities
from selfstorm.stream.scene_change import detect_scene_change
from selfstorm.stream.settings import Settings
from selfstorm.stream.unrolled_stream import UnrolledStream

CPU = prepare_device("cpu")
SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, estimate="density", quality="fast")


def movie(frames, **scene):
    chosen = {"height": 36, "width": 32, "filaments": 6, "density": 5.0, "on_frames": 1.0, "photons": 1500.0} | scene
    shots = list(simulate(Scene(**chosen), frames=frames))
    return np.stack([pixels for pixels, _ in shots]), np.concatenate([emitters for _, emitters in shots])


def photons(raw):
    return torch.as_tensor((raw - 100.0) / 4.0, dtype=torch.float32)


def remembered(raw, block=25):
    memory = CovarianceHistory()
    for first in range(0, len(raw), block):
        c = photons(raw[first : first + block])
        memory = memory.with_frames(c - c.mean(0), None, np.arange(first, first + len(c)), len(c))
    return memory


def windows(raw, window, stride):
    model = learned(SETTINGS, raw[:window], CPU)
    return movie_windows(raw, model, window, stride), model


@pytest.fixture(scope="module")
def still():
    return movie(200, seed=4)


@pytest.fixture(scope="module")
def drifting():
    return movie(200, seed=5, drift_nm_per_frame=(0.8, -0.5))


def test_the_velocity_of_a_drifting_scene_is_found(drifting):
    found = velocities(remembered(drifting[0]).blocks)
    assert found.rigid[:, 0, 0].tolist() == pytest.approx([0.008, -0.005], abs=0.0015)
    assert found.local.mean((1, 2)).tolist() == pytest.approx([0.008, -0.005], abs=0.003)


def test_a_scene_that_stands_still_has_no_velocity(still):
    assert velocities(remembered(still[0]).blocks).rigid.abs().max() < 0.001


def test_the_density_goes_along_with_a_drift_and_says_so(drifting):
    raw, emitters = drifting
    results, model = windows(raw, 25, 25)
    assert model.learned.state.history.plan.motion in ("rigid", "local")
    assert "motion is corrected" in results[-1].notes[-1]
    last = emitters[emitters[:, 0] >= 175, 1:3]
    piled_up = align_and_sum(model.learned.state.history.blocks, None, 0.0)
    left_behind = density(model.learned.operators.covariance, statistics_of(piled_up, torch.zeros((36, 32))), 60)
    scores = [
        score_picture(picture, last, 25.0).pearson
        for picture in (results[-1].picture, model.learned.grid.crop(left_behind).numpy())
    ]
    assert scores[0] > scores[1] + 0.05


def test_a_short_window_gains_from_what_stood_still_before_it(still):
    raw, emitters = still
    results, model = windows(raw, 25, 25)
    alone, _ = windows(raw[-25:], 25, 25)
    assert (model.learned.state.history.plan.motion, model.learned.state.history.plan.blocks > 4) == ("still", True)
    scores = [score_picture(result.picture, emitters[:, 1:3], 25.0).pearson for result in (results[-1], alone[-1])]
    assert scores[0] > scores[1] + 0.15


def test_only_unmoved_sums_of_the_same_blocks_are_taken_for_the_same(still):
    history = remembered(still[0])
    every = history.everything()
    assert every.adds_up_as(replace(history.everything(), number=7.0))  # nothing moves, whatever its time
    assert not every.adds_up_as(replace(every, wanted=every.wanted - 1))
    assert not every.adds_up_as(remembered(still[0]).everything())
    moved = replace(every, velocity=torch.zeros(2, 36, 32))
    assert not any(one.adds_up_as(other) for one, other in ((every, moved), (moved, every), (moved, moved)))


def test_another_scene_starts_anew(still):
    other, _ = movie(60, seed=77)
    raw = np.concatenate([still[0][:60], other])
    results, model = windows(raw, 40, 20)
    assert [result.state for result in results] == ["cold", "warm", "scene changed", "warm", "warm"]
    assert any("Another scene since frame 60" in note for note in results[2].notes)
    assert not any("Another scene" in note for note in results[1].notes + results[-1].notes)
    assert model.learned.state.history.blocks[0].first == 60
    alone, _ = windows(other[:20], 20, 20)
    like = np.corrcoef(results[2].picture.ravel(), alone[0].picture.ravel())[0, 1]
    assert like > 0.95


@pytest.mark.parametrize("scene", [{"density": 0.3}, {"photons": 200.0}, {"speed_nm_per_frame": 1.0}], ids=str)
def test_a_scene_is_recognised_in_few_frames_dim_ones_and_where_it_moves(scene):
    results, _ = windows(movie(45, seed=9, **scene)[0], 25, 10)
    assert [result.state for result in results] == ["cold", "warm", "warm"]


def test_frames_that_show_nothing_are_no_other_scene(still):
    dark = np.random.default_rng(1).poisson(40.0, (50, 36, 32)) * 4 + 100
    results, model = windows(np.concatenate([still[0][:50], dark]), 25, 25)
    assert [result.state for result in results] == ["cold", "warm", "warm", "warm"]
    assert model.learned.state.history.blocks[0].first == 0


def small(seed):
    """(T, H, W) photons of a field of 16 x 16 pixels, and what its first half says of the other."""
    scene = {"height": 16, "width": 16, "filaments": 3, "density": 3.0, "on_frames": 2.0, "photons": 800.0}
    y = photons(movie(200, seed=seed, **scene)[0])
    operator = LaggedCovariance(Gaussian(110.0), Grid(16, 16, 2, 100.0), torch.zeros(()))
    return y, operator.forward(density(operator, window_statistics(y[:100]), 40))


@pytest.mark.parametrize("seed", [5, 6, 8])
def test_the_few_emitters_of_a_small_field_that_shine_by_chance_are_no_other_scene(seed):
    """Halves of 16 frames matched by the emitters of these frames, the density by less than half of that."""
    y, expected = small(seed)
    assert not any(detect_scene_change(expected, y[first : first + 16]) for first in range(100, 185, 4))


def test_another_scene_is_recognised_in_a_small_field():
    fields = [small(seed) for seed in (1, 2, 3, 4)]
    pairs = [(expected, y) for expected, own in ((e, y) for y, e in fields) for y, _ in fields if y is not own]
    assert sum(detect_scene_change(expected, y[100:150]) for expected, y in pairs) >= len(pairs) / 2


def test_a_window_with_nothing_before_it_is_reconstructed_from_itself_alone(still):
    raw = still[0][:100]
    model = learned(SETTINGS, raw, CPU)
    iterations = reconstruct(model, raw).iterations
    z = torch.as_tensor(model.learned.calibration.photons(raw))
    z = z / frame_gains(z)
    knots = torch.cat([strip.smooth for strip in model.learned.state.buffer])
    with torch.inference_mode():
        c = z - trend(z) - model.learned.operators.out_of_focus.evaluate(knots - trend(knots))
        alone = density(model.learned.operators.covariance, statistics_of(sums_of(c, None, 100), z.mean(0)), iterations)
    torch.testing.assert_close(model.learned.state.density, alone, rtol=1e-2, atol=float(alone.max()) * 1e-3)


def test_sums_of_parts_add_up_to_the_window(still):
    y = photons(still[0][:60])
    c = y - trend(y)
    parts = sums_of(c[:20], None, 60) + sums_of(c[20:45], c[19:20], 60) + sums_of(c[45:], c[44:45], 60)
    together, whole = statistics_of(parts, y.mean(0)), window_statistics(y)
    for name in ("covariance", "uncertainty"):
        torch.testing.assert_close(getattr(together, name), getattr(whole, name), rtol=1e-4, atol=1e-2)
    assert float(together.memory) == pytest.approx(float(whole.memory), abs=1e-4)


def test_the_memory_is_bounded_and_blocks_are_filled_up(still):
    memory = remembered(still[0], block=5)
    assert {block.sums.frames for block in memory.blocks} == {25}
    assert [block.first for block in memory.blocks] == list(range(0, 200, 25))
    assert len(remembered(np.concatenate([still[0]] * 3)).blocks) == 16


def test_same_windows_same_pictures_also_from_a_saved_memory(drifting, tmp_path):
    raw = drifting[0][:150]
    straight, _ = windows(raw, 25, 25)
    again, model = windows(raw[:125], 25, 25)
    model.save(tmp_path / "model.safetensors", "a test")
    resumed = UnrolledStream.load(tmp_path / "model.safetensors", SETTINGS, raw.shape[1:], Compute(CPU))
    again.append(reconstruct(resumed, raw[125:], WindowSpan(np.arange(25), 0, 25)))
    assert model.learned.state.history.plan.motion != "still"
    for one, other in zip(straight, again, strict=True):
        assert np.array_equal(one.picture, other.picture)


@pytest.mark.parametrize("stride", [1, 5])
def test_short_windows_and_strides_of_a_frame_are_followed(still, stride):
    results, model = windows(still[0][:24], 10, stride)
    assert len(results) == len(range(0, 15, stride))
    assert {result.state for result in results[1:]} == {"warm"}
    assert all(np.isfinite(result.picture).all() for result in results)
    assert model.learned.state.history.frames >= 20


def test_two_windows_after_a_change_of_scene_the_picture_is_as_good_as_from_a_cold_start(still):
    other, emitters = movie(100, seed=31)
    results, _ = windows(np.concatenate([still[0][:100], other[:60]]), 60, 20)
    assert [result.state for result in results] == ["cold", "warm", "warm", "scene changed", "warm", "warm"]
    cold, _ = windows(other[:60], 60, 60)
    shown = emitters[emitters[:, 0] < 60, 1:3]
    scores = [score_picture(result.picture, shown, 25.0).pearson for result in (results[-1], cold[0])]
    assert scores[0] > scores[1] - 0.01


def test_a_memory_never_makes_the_picture_of_a_moving_scene_worse():
    raw, emitters = movie(150, seed=8, speed_nm_per_frame=0.8, filaments=8)
    results, _ = windows(raw, 25, 25)
    alone, _ = windows(raw[-25:], 25, 25)
    shown = emitters[emitters[:, 0] >= 125, 1:3]
    scores = [score_picture(result.picture, shown, 25.0).pearson for result in (results[-1], alone[-1])]
    assert scores[0] > scores[1]
    assert results[-1].memory
