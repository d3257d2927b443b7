"""ADCG finds emitters that a frame holds, and no others."""

import numpy as np
import pytest

from selfstorm.baselines.adcg import PixelPsf, _loss_and_slope, adcg
from selfstorm.simulation.spots import AiryPsf, GaussianPsf, place

SHAPE, PIXEL_NM = (14, 12), 100.0
BACKGROUND = np.full(SHAPE, 20.0)
OPTICS = PixelPsf(GaussianPsf(110.0), PIXEL_NM, SHAPE)


def frame(emitters, seed=1):
    light = place(*np.transpose(emitters), SHAPE, psf=OPTICS.psf, pixel_nm=PIXEL_NM) if len(emitters) else 0.0
    return np.random.default_rng(seed).poisson(light + BACKGROUND).astype(float)


def test_close_and_lone_emitters_are_found_where_they_are():
    true = np.array([[400.0, 400.0, 3_000.0], [400.0, 700.0, 3_000.0], [1_100.0, 600.0, 1_500.0]])
    found = adcg(frame(true), BACKGROUND, OPTICS)
    found = found[np.lexsort((found[:, 1], found[:, 0].round(-2)))]
    assert found.shape == true.shape
    np.testing.assert_allclose(found[:, :2], true[:, :2], atol=20)
    np.testing.assert_allclose(found[:, 2], true[:, 2], rtol=0.15)


def test_background_alone_has_no_emitters():
    assert sum(len(adcg(frame([], seed), BACKGROUND, OPTICS)) for seed in range(10)) <= 1


@pytest.mark.parametrize("psf", [GaussianPsf(110.0), AiryPsf(1.4, 670.0)])
def test_the_slope_of_the_loss_is_its_derivative(psf):
    optics, seen = PixelPsf(psf, PIXEL_NM, SHAPE), frame([[500.0, 600.0, 900.0]])
    emitters = np.array([[450.0, 620.0, 700.0], [1_250.0, 110.0, 400.0]])
    slope = _loss_and_slope(emitters, seen, BACKGROUND, optics)[1]
    for index in np.ndindex(emitters.shape):
        step = np.zeros_like(emitters)
        step[index] = 0.5
        sides = [_loss_and_slope(emitters + sign * step, seen, BACKGROUND, optics)[0] for sign in (1, -1)]
        assert slope[index] == pytest.approx(sides[0] - sides[1], rel=1e-2, abs=1e-4)
