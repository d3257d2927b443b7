"""The number of iterations that held-out frames confirm is carried from window to window; noise has none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from streams import learned, reconstruct

from selfstorm.compute.device import prepare_device
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stages.covariances import statistics_of, sums_of
from selfstorm.stages.held_out import HeldOut, most_significant_part
from selfstorm.stream.covariance_history import CovarianceHistory, fingerprints_of
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.iteration_choice import MAX_WAIT_WINDOWS, IterationChoice
from selfstorm.stream.settings import Settings

CPU = prepare_device("cpu")
KNOWN = Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast", tuning_steps=0)


def verdict(iterations, ceiling=60, z=50.0):
    return HeldOut(iterations, ceiling, z, {})


def filmed(frames, **scene):
    movie = simulate(Scene(height=32, width=32, filaments=6, seed=11, **scene), frames=frames)
    return np.stack([pixels for pixels, _ in movie])


def remembered(frames, numbers=None, raw=None):
    """A history of frames of noise, dealt into blocks of 25."""
    torch.manual_seed(1)
    c = torch.randn(frames, 8, 8)
    numbers = np.arange(frames) if numbers is None else numbers
    names = () if raw is None else fingerprints_of(raw)
    return CovarianceHistory().with_frames(c, None, numbers, frames, names)


def test_held_out_frames_are_asked_ever_less_often():
    asked = [n for n in range(1, 80) if IterationChoice(verdict(20), n).due]
    assert asked == [1, 2, 4, 8, *range(MAX_WAIT_WINDOWS, 80, MAX_WAIT_WINDOWS)]


def test_they_are_asked_until_there_is_an_answer():
    assert all(IterationChoice(None, n).due for n in range(40))
    assert all(IterationChoice(verdict(5, z=1.0), n).due for n in range(40))


def test_the_ceiling_grows_only_where_it_was_the_limit():
    assert IterationChoice().iterations(60) == 60
    assert IterationChoice(verdict(60)).iterations(100) == 100
    assert IterationChoice(verdict(20)).iterations(100) == 20
    assert IterationChoice(verdict(45)).iterations(40) == 40


def test_halves_share_no_frame_and_leave_none_out():
    history = remembered(100)
    first, second = history.everything().halves()
    whole = history.everything().sums()
    assert first.frames == second.frames == 50
    assert torch.allclose(first.now + second.now, whole.now, atol=1e-4)


def test_one_block_has_no_halves():
    assert remembered(30).everything().halves() is None


def test_a_repeated_frame_is_in_one_half_only():
    """A recording of 60 frames that is replayed for ever: the third block of 25 begins with the second's noise."""
    rng = np.random.default_rng(2)
    once = rng.integers(0, 4_000, (60, 8, 8)).astype(np.uint16)
    looped = np.concatenate([once] * 5)
    history = CovarianceHistory()
    for start in range(0, len(looped), 25):
        numbers = np.arange(start, start + 25)
        history = history.with_frames(torch.randn(25, 8, 8), None, numbers, 100, fingerprints_of(looped[numbers]))
    newest = sorted(history.blocks, key=lambda block: -block.middle)
    dealt = [newest[0], newest[1]]  # 50 of the 60 frames: no third block of 25 is without a repetition
    first, second = replace(history.at(299.0), velocity=None).halves()
    assert {first.frames, second.frames} == {25}
    assert torch.equal(first.now + second.now, dealt[1].sums.now + dealt[0].sums.now)
    assert not dealt[0].fingerprints & dealt[1].fingerprints


def test_fingerprints_survive_a_checkpoint():
    raw = np.random.default_rng(3).integers(0, 4_000, (50, 8, 8)).astype(np.uint16)
    history = remembered(50, raw=raw)
    again = CovarianceHistory.from_state(history.state(), (8, 8), CPU)
    assert [block.fingerprints for block in again.blocks] == [block.fingerprints for block in history.blocks]
    assert all(len(block.fingerprints) == 25 for block in again.blocks)


@pytest.fixture(scope="module")
def dim():
    return filmed(150, density=30, on_frames=8, photons=120)


def test_iterations_are_in_the_record(dim):
    result = reconstruct(learned(KNOWN, dim, CPU), dim)
    assert result.iterations <= 30
    assert result.metrics["iterations"] == result.iterations
    assert result.metrics["prediction_z"] > 10
    assert (f"The density is limited to {result.iterations} iterations; more would fit noise" in result.notes) == (
        result.iterations <= 20
    )


def test_every_level_keeps_to_the_number(dim):
    stream = learned(KNOWN, dim, CPU)
    numbers = np.arange(len(dim))
    stream.ingest(dim, WindowSpan(numbers, 0, len(dim)))
    previews = []
    full = stream.picture(WindowSpan(numbers, 0, len(dim)), preview=previews.append)
    quick = stream.picture(WindowSpan(numbers, 0, len(dim)), replace(KNOWN.level, estimate="density", quick=True))
    assert quick.iterations <= full.iterations
    assert previews[0].iterations <= full.iterations
    assert stream.cost(0).iterations == full.iterations


@pytest.mark.parametrize("estimate", ["density", "emitters", "fused"])
def test_a_picture_of_noise_is_empty(estimate):
    flat = np.random.default_rng(4).poisson(80, (100, 32, 32)) * 4 + 100
    settings = replace(KNOWN, estimate=estimate)
    result = reconstruct(learned(settings, flat.astype(np.uint16), CPU), flat.astype(np.uint16))
    assert not result.picture.any()
    assert "No blinking or steady emitters were found; the picture is empty" in result.notes


def test_two_molecules_in_a_dark_field_are_drawn():
    """Each blinks in few frames only, and so perhaps in one half: a single place that stands out is enough."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:32, :32]
    spots = np.stack([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 2 / 1.1**2) / 7.6 for a, b in ((9, 12), (21, 20))])
    on = np.zeros((100, 2))
    on[[10, 11, 35, 36], [0, 0, 1, 1]] = 900
    raw = rng.poisson(5 + np.tensordot(on, spots, 1)) * 4 + 100
    result = reconstruct(learned(KNOWN, raw.astype(np.uint16), CPU), raw.astype(np.uint16))
    assert result.picture.any()
    assert 2 <= len(result.localizations) <= 12


def test_of_a_large_field_the_most_significant_part_is_asked():
    c = 0.1 * torch.randn(40, 70, 40)
    c[:, 50:60, 5:15] += 5 * torch.randn(40, 1, 1)
    rows, columns = most_significant_part(statistics_of(sums_of(c, None, 40), c.mean(0)).covariance, 30)
    assert rows.start <= 50
    assert rows.stop >= 60
    assert columns == slice(0, 30)
