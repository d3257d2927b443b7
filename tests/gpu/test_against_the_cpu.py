"""A device computes what the CPU computes in double precision, within a stated error, and scores the same.

Relative errors are of the largest value. The bounds are ten times what float32 on a CPU was seen to be off itself:
covariances 4e-7, density 5e-5, maps 2e-4, their sum 8e-5. Localizations are kept or dropped, so a last bit can make one
more: products off by a last bit moved the fused picture by 1.5 %, its score by .0001.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from streams import learned, movie_windows

from selfstorm.calibration.psf_finetuning import Budget, finetune
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Airy, Gaussian
from selfstorm.stages.covariances import window_statistics
from selfstorm.stages.density import density
from selfstorm.stages.emitters import EMITTER_SETTINGS, emitter_maps
from selfstorm.stream.settings import Settings

SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast", tuning_steps=0)
OPTICS = (Gaussian(110.0), Airy(1.4, 680.0))


def off(result, reference):
    """The largest error over the largest value."""
    difference = result.detach().cpu().double() - reference
    return float(difference.abs().max() / reference.abs().max())


def stages(psf, y):
    """Statistics, density and emitter maps of y (T, H, W) photons, where y is and as precise as y is."""
    grid = Grid(*y.shape[1:], 4, 100.0)
    imaging, covariance = Imaging(psf, grid, y), LaggedCovariance(psf, grid, y)
    with torch.inference_mode():
        statistics = window_statistics(y)
        m = density(covariance, statistics, 60)
        some = y[:10].clamp(min=1e-3)
        start = y.new_full((len(some), 1, 1), 1.0)
        maps = emitter_maps(imaging, some, m / m.mean(), start, torch.full_like(some, 10.0), EMITTER_SETTINGS["best"])
    return statistics, m, maps


@pytest.fixture(scope="module")
def exact(movie):
    """The same on the CPU in float64, for each optics."""
    return {psf: stages(psf, photons(movie)) for psf in OPTICS}


def photons(movie):
    return torch.as_tensor((movie[0][:100].astype(np.float64) - 100.0) / 4.0)


@pytest.mark.parametrize("psf", OPTICS, ids=lambda psf: type(psf).__name__)
def test_stages_are_those_of_the_cpu_in_double_precision(device, movie, exact, psf):
    statistics, m, maps = stages(psf, photons(movie).float().to(device))
    good_statistics, good_m, good_maps = exact[psf]
    assert off(statistics.covariance, good_statistics.covariance) < 5e-6
    assert off(statistics.uncertainty, good_statistics.uncertainty) < 5e-6
    assert abs(float(statistics.memory) - float(good_statistics.memory)) < 1e-5
    assert off(m, good_m) < 5e-4
    assert off(maps.sum(0), good_maps.sum(0)) < 1e-3
    assert off(maps, good_maps) < 2e-3


def picture(movie, device, **chosen):
    raw = movie[0][:100]
    model = learned(replace(SETTINGS, **chosen), raw, device)
    (result,) = movie_windows(raw, model, 100, 100)
    return result, model


def pearson(result, movie):
    emitters = movie[1]
    return score_picture(result.picture, emitters[emitters[:, 0] < 100, 1:3], 100.0 / result.scale).pearson


@pytest.mark.parametrize("estimate", ["density", "emitters", "fused"])
def test_pictures_score_as_those_of_the_cpu(device, movie, estimate):
    ours, _ = picture(movie, device, estimate=estimate)
    theirs, _ = picture(movie, torch.device("cpu"), estimate=estimate)
    assert abs(pearson(ours, movie) - pearson(theirs, movie)) < 1e-3
    rms = np.sqrt(np.mean((ours.picture - theirs.picture) ** 2) / np.mean(theirs.picture**2))
    assert rms < (5e-2 if estimate == "fused" else 1e-3)
    assert ours.metrics["misfit"] == pytest.approx(theirs.metrics["misfit"], abs=1e-3)


def test_fine_tuning_comes_to_the_same_optics(device, movie):
    y = photons(movie).float()
    here, there = (finetune(Gaussian(125.0), z, 100.0, Budget(4)) for z in (y, y.to(device)))
    assert (here.outcome, here.psf) == (there.outcome, there.psf)  # it is computed on the CPU wherever the frames are


def test_the_same_window_twice_is_the_same_picture(device, movie):
    first, second = (picture(movie, device, estimate="emitters")[0].picture for _ in range(2))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-5 * first.max())


def test_graphs_change_nothing(cuda, movie):
    """Windows that come again are replayed from graphs; without graphs they are the same."""
    pictures = []
    for graphs in (Graphs(), Graphs(devices=())):
        model = learned(replace(SETTINGS, estimate="emitters"), movie[0][:50], cuda)
        model.learned = replace(model.learned, operators=replace(model.learned.operators, graphs=graphs))
        pictures.append([result.picture for result in movie_windows(movie[0], model, 50, 25)])
        used = [graph for graph in graphs._known.values() if graph is not None]
        assert bool(used) == bool(graphs._devices)
    for one, other in zip(*pictures, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * one.max())
