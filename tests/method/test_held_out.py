"""The number of iterations is the one by which frames predict frames that they were not given."""

import numpy as np
import pytest
import torch

from selfstorm.physics.operators import Grid, LaggedCovariance
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stages.covariances import statistics_of, sums_of, trend
from selfstorm.stages.density import Iterate, continue_from, density, flat_start, shifted_data
from selfstorm.stages.held_out import COUNTS, choose_iterations

SIDE_PX, BLOCK_FRAMES, CEILING = 36, 25, 60
OPERATOR = LaggedCovariance(Gaussian(110.0), Grid(SIDE_PX, SIDE_PX, 4, 100.0), torch.zeros(()))


def halves_of(y):
    """Sums over every second block of 25 frames, and over the others; the mean frame."""
    c, halves = y - trend(y), []
    for first in range(2):
        starts = range(first * BLOCK_FRAMES, len(y), 2 * BLOCK_FRAMES)
        sums = [sums_of(c[start : start + BLOCK_FRAMES], None, len(y)) for start in starts]
        halves.append(sum(sums[1:], sums[0]))
    return tuple(halves), y.mean(0)


def filmed(**scene):
    scene = Scene(height=SIDE_PX, width=SIDE_PX, filaments=6, seed=11, **scene)
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=200)])
    return (torch.tensor(raw, dtype=torch.float32) - 100) / 4


@pytest.fixture(scope="module")
def bright():
    return halves_of(filmed(density=5, on_frames=1))


@pytest.fixture(scope="module")
def dim():
    return halves_of(filmed(density=30, on_frames=8, photons=120))


def test_bright_fast_blinking_bears_many_iterations(bright):
    found = choose_iterations(OPERATOR, *bright, CEILING)
    assert found.confirmed
    assert found.iterations >= 45


def test_dim_slow_blinking_bears_few(dim):
    found = choose_iterations(OPERATOR, *dim, CEILING)
    assert found.confirmed
    assert found.iterations <= 30
    assert found.limited


def test_never_more_than_the_ceiling(bright):
    found = choose_iterations(OPERATOR, *bright, 10)
    assert found.iterations == 10
    assert list(found.gains) == [5, 8, 10]
    assert not found.limited


def test_noise_predicts_nothing():
    torch.manual_seed(3)
    y = torch.poisson(torch.full((200, SIDE_PX, SIDE_PX), 80.0))
    found = choose_iterations(OPERATOR, *halves_of(y), CEILING)
    assert not found.confirmed
    assert found.iterations == COUNTS[0]


def test_a_number_in_use_is_kept_unless_another_is_clearly_better(dim):
    fresh = choose_iterations(OPERATOR, *dim, CEILING)
    near = COUNTS[COUNTS.index(fresh.iterations) + 1]
    assert choose_iterations(OPERATOR, *dim, CEILING, carried=near).iterations == near
    assert choose_iterations(OPERATOR, *dim, CEILING, carried=COUNTS[0]).iterations == fresh.iterations
    assert choose_iterations(OPERATOR, *dim, CEILING, carried=CEILING).iterations == fresh.iterations


def test_a_batch_is_iterated_as_each_alone(bright, dim):
    statistics = [statistics_of(halves[0], mean) for halves, mean in (bright, dim)]
    data, offset = (torch.stack(parts) for parts in zip(*map(shifted_data, statistics), strict=True))
    state = Iterate.first(torch.stack([flat_start(OPERATOR, one) for one in statistics]))
    state = continue_from(state, OPERATOR, data, offset, OPERATOR.norm, 7)
    state = continue_from(state, OPERATOR, data, offset, OPERATOR.norm, 5)
    for m, one in zip(state.m, statistics, strict=True):
        assert torch.allclose(m, density(OPERATOR, one, 12), rtol=1e-3, atol=1e-4 * float(m.max()))
