"""Place the light of emitters on pixels."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from selfstorm.errors import InputError
from selfstorm.simulation.movie import AiryPsf, GaussianPsf, SeparablePsf, place

Array = NDArray[np.float64]


def centroid_nm(picture: Array, pixel_nm: float) -> tuple[float, float]:
    y, x = ((np.arange(side) + 0.5) * pixel_nm for side in picture.shape)
    return picture.sum(1) @ y / picture.sum(), picture.sum(0) @ x / picture.sum()


@pytest.mark.parametrize("at", [(1550.0, 1950.0), (1503.2, 1996.7), (1600.0, 1900.0)])
def test_a_placed_gaussian_has_its_photons_its_place_and_its_width(at: tuple[float, float]) -> None:
    picture = place(*at, 700.0, (31, 40), psf=GaussianPsf(110), pixel_nm=100)
    assert picture.shape == (31, 40)
    assert picture.sum() == pytest.approx(700, rel=3e-6)
    assert centroid_nm(picture, 100) == pytest.approx(at, abs=0.01)
    y = (np.arange(31) + 0.5) * 100 - at[0]
    width = picture.sum(1) @ y**2 / picture.sum()
    assert width == pytest.approx(110**2 + 100**2 / 12, rel=1e-3)  # the PSF, widened by the pixel


def test_a_placed_airy_pattern_is_the_integral_of_its_formula() -> None:
    at, psf = (2034.7, 1961.2), AiryPsf(1.4, 640)
    picture = place(*at, 1.0, (41, 40), psf=psf, pixel_nm=100)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    y, x = ((np.arange(n)[:, None] + 0.5 + nodes / 2) * 100 - p for n, p in zip(picture.shape, at, strict=True))
    density = psf.density_per_nm2(np.hypot(y[:, :, None, None], x))
    exact = np.einsum("iajb,a,b->ij", density, weights, weights) * 50**2
    assert np.abs(picture - exact).max() < 3e-4 * exact.max()
    assert 0.96 < picture.sum() < 1
    assert centroid_nm(picture, 100) == pytest.approx(at, abs=0.5)


@pytest.mark.parametrize("psf", [GaussianPsf(130), AiryPsf(1.2, 600)], ids=["gaussian", "airy"])
def test_a_pattern_in_the_middle_of_a_pixel_is_symmetric(psf: SeparablePsf) -> None:
    picture = place(2050.0, 2050.0, 1.0, (41, 41), psf=psf, pixel_nm=100)
    for turned in (picture[::-1], picture[:, ::-1], picture.T):
        np.testing.assert_allclose(picture, turned, atol=1e-9)


def test_emitters_add_up_and_shine_into_the_field_from_outside() -> None:
    y, x, n = (
        np.array([-60.0, 900.0, 1500.0, 1e12]),
        np.array([500.0, 1234.0, 640.0, 0.0]),
        np.array([9.0, 5, 7, 8]),
    )
    psf = GaussianPsf(110)
    together = place(y, x, n, (15, 13), psf=psf, pixel_nm=100)
    one_by_one = sum(place(*emitter, (15, 13), psf=psf, pixel_nm=100) for emitter in zip(y, x, n, strict=True))
    np.testing.assert_allclose(together, one_by_one, atol=1e-12)
    outside = place(y[0], x[0], n[0], (15, 13), psf=psf, pixel_nm=100)
    larger = place(y[0] + 1000, x[0] + 1000, n[0], (35, 33), psf=psf, pixel_nm=100)
    assert outside.sum() > 1
    np.testing.assert_allclose(outside, larger[10:25, 10:23], atol=1e-12)


def test_many_emitters_are_rendered_as_in_one_batch() -> None:
    rng = np.random.default_rng(0)
    y, x, n = rng.random((3, 9000)) * [[3000], [2000], [1]]
    psf = GaussianPsf(60)
    halves = sum(place(y[k], x[k], n[k], (30, 20), psf=psf, pixel_nm=100) for k in (slice(0, 90), slice(90, None)))
    np.testing.assert_allclose(place(y, x, n, (30, 20), psf=psf, pixel_nm=100), halves, rtol=1e-9)


@pytest.mark.parametrize("bad", [((1.0, 2.0), 1.0, 1.0), (np.nan, 1.0, 1.0), (1.0, 1.0, np.inf)])
def test_emitters_that_cannot_be_placed_are_refused(bad: Any) -> None:
    with pytest.raises(InputError, match="emitters"):
        place(bad[0], bad[1], bad[2], (8, 8), psf=GaussianPsf(110), pixel_nm=100)
