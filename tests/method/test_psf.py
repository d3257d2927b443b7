"""The PSF from the frames: found whatever it is, kept when it was given right, left alone when nothing can be told."""

import json

import numpy as np
import pytest

from selfstorm.calibration.field_moments import FIELD_LAGS, MAX_BLOCKS, FieldMoments
from selfstorm.calibration.psf_autocorrelation import autocorrelation
from selfstorm.calibration.psf_fit import MomentTarget, fit_round
from selfstorm.calibration.psf_selection import NOMINAL_SIGMA_NM, find_psf
from selfstorm.errors import InputError
from selfstorm.psf.centre import centre_nm
from selfstorm.psf.models import Airy, Ellipse, Gaussian, psf_from_dict, psf_to_dict
from selfstorm.psf.pupil import Pupil
from selfstorm.simulation.movie import Scene, simulate

AIRY = Airy(1.4, 670.0)
BRIGHT = {"density": 5, "on_frames": 0.6, "photons": 1000, "background_photons": 20, "height": 48, "width": 56}
KINDS = [
    Gaussian(110.0),
    Ellipse(133.0, 90.0, 40.0, "learned from the frames"),
    AIRY,
    Pupil(1.4, 670.0, (0.5, 0.1, 0.0, -0.2, 0.0, 0.1)),
]


def movie(frames, **scene):
    return np.stack([pixels for pixels, _ in simulate(Scene(**{**BRIGHT, **scene}), frames=frames)])


def moments_of(raw):
    moments = FieldMoments()
    moments.add(raw)
    return moments


def learned(raw, given=None):
    return find_psf(moments_of(raw), 100.0, given).psf


@pytest.mark.parametrize("psf", KINDS, ids=[type(psf).__name__ for psf in KINDS])
def test_every_psf_goes_through_json(psf):
    assert psf_from_dict(json.loads(json.dumps(psf_to_dict(psf)))) == psf
    assert hash(psf) == hash(psf_from_dict(psf_to_dict(psf)))


@pytest.mark.parametrize("account", [{}, {"kind": "lens"}, {"kind": "gaussian", "width": 3.0}])
def test_what_is_no_psf_is_refused(account):
    with pytest.raises(InputError, match="no PSF"):
        psf_from_dict(account)


def test_the_width_of_every_psf():
    assert Gaussian(110.0).equivalent_sigma_nm == 110.0
    assert Ellipse(121.0, 100.0, 30.0).equivalent_sigma_nm == pytest.approx(110.0)
    assert Pupil(1.4, 670.0, (0.0,) * 6).equivalent_sigma_nm == pytest.approx(AIRY.equivalent_sigma_nm, rel=0.1)
    assert Pupil(1.4, 670.0, (0.9, *[0.0] * 5)).equivalent_sigma_nm > 1.3 * AIRY.equivalent_sigma_nm


def test_an_unaberrated_pupil_is_airy():
    flat = autocorrelation(Pupil(1.4, 670.0, (0.0,) * 6), 100.0)
    assert np.abs(flat - autocorrelation(AIRY, 100.0)).max() < 0.01


def test_autocorrelation_is_that_of_pixels():
    """Of a Gaussian, the sum of two pixels' offsets and two emitters' spread: known in closed form, nearly."""
    rho = autocorrelation(Gaussian(110.0), 100.0)
    spread2 = 2 * (110.0**2 + 100.0**2 / 12)
    assert rho == pytest.approx(np.exp(-0.5 * (FIELD_LAGS**2).sum(1) * 1e4 / spread2), abs=0.01)


def test_moments_add_up_and_survive_storage():
    raw = movie(61, seed=1)
    whole = moments_of(raw[:30])
    copy = FieldMoments(**whole.state())
    for moments in (whole, copy):
        moments.add(raw[30:])
    assert np.array_equal(whole.mean, copy.mean)
    apart = [moments_of(raw[:30]), moments_of(raw[30:])]
    pairs = [float(m.pairs.sum()) for m in apart]
    assert pairs == [29.0, 30.0]
    assert whole.mean == pytest.approx((29 * apart[0].mean + 30 * apart[1].mean) / 59)


def test_moments_stay_bounded():
    raw = movie(30, seed=1)
    moments = FieldMoments()
    for _ in range(60):
        moments.add(raw)
    assert 8 <= len(moments.pairs) <= MAX_BLOCKS
    assert moments.pairs.sum() == 60 * 29
    assert moments.mean == pytest.approx(moments_of(raw).mean)


def test_what_is_no_moments_is_refused():
    with pytest.raises(InputError):
        FieldMoments(np.zeros((3, 40)), np.zeros((3, 40)), np.zeros(2))


def test_error_bars_are_honest():
    """Over 10 movies, fitted widths scatter as their error bars say, within a factor of two."""
    found = [fit_round(MomentTarget(moments_of(movie(30, seed=seed, density=3)), 100.0)) for seed in range(20, 30)]
    scatter = np.std([np.log(fit.psf.equivalent_sigma_nm) for fit in found])
    assert 0.5 < scatter / np.mean([fit.sd[0] for fit in found]) < 2


@pytest.mark.parametrize("wrong", [0.85, 1.15])
def test_a_wrong_width_is_put_right(wrong):
    raw = movie(80, psf_sigma_nm=110.0, seed=2)
    psf = learned(raw, Gaussian(110.0 * wrong))
    assert psf.equivalent_sigma_nm == pytest.approx(110.0, rel=0.03)
    assert psf.origin == "learned from the frames; the given Gaussian PSF does not fit them"


@pytest.mark.parametrize(
    ("given", "scene"),
    [
        (Gaussian(112.0), {}),
        (AIRY, {"na": 1.4, "wavelength_nm": 670.0}),
        (Ellipse(133.0, 90.0, 0.0), {"psf_sigma_nm": 90.0, "psf_sigma_x_nm": 133.0}),
    ],
    ids=["gaussian", "airy", "ellipse"],
)
def test_what_was_given_right_is_kept(given, scene):
    finding = find_psf(moments_of(movie(60, seed=3, **scene)), 100.0, given)
    assert finding.psf is given
    assert "agree" in finding.reason


def test_blinking_haze_is_not_taken_for_the_psf():
    cell = {"density": 3, "on_frames": 2.5, "photons": 700, "background_photons": 40, "width": 48, "seed": 12}
    haze = {"haze_density": 1.5, "haze_photons": 1500, "haze_blur_nm": 350.0}
    moments = moments_of(movie(200, na=1.4, wavelength_nm=670.0, **cell, **haze))
    assert find_psf(moments, 100.0, AIRY).psf is AIRY
    found = find_psf(moments, 100.0).psf
    assert np.abs(autocorrelation(found, 100.0) - autocorrelation(AIRY, 100.0)).max() < 0.015


@pytest.mark.parametrize(("sigma_y", "sigma_x", "angle"), [(90.0, 133.0, 0.0), (133.0, 90.0, 90.0)])
def test_an_ellipse_is_found_though_an_airy_was_given(sigma_y, sigma_x, angle):
    psf = learned(movie(100, psf_sigma_nm=sigma_y, psf_sigma_x_nm=sigma_x, seed=4), AIRY)
    assert isinstance(psf, Ellipse)
    assert (psf.long_nm, psf.short_nm) == pytest.approx((133.0, 90.0), rel=0.05)
    assert abs((psf.angle_deg - angle + 90) % 180 - 90) < 5
    assert "the given Airy PSF does not fit" in psf.origin


def test_an_aberrated_pupil_is_found():
    optics = {"na": 1.4, "wavelength_nm": 670.0, "psf_defocus_rad": 0.6, "psf_astigmatism_rad": 0.4}
    psf = learned(movie(100, seed=5, **optics), AIRY)
    assert isinstance(psf, Pupil)
    defocus, astigmatism, *rest = psf.aberrations
    assert defocus * astigmatism > 0
    assert (abs(defocus), abs(astigmatism)) == pytest.approx((0.6, 0.4), abs=0.08)
    assert np.abs(rest).max() < 0.25
    assert psf.na == pytest.approx(1.4, rel=0.04)


@pytest.mark.parametrize("coma", [-0.6, 0.6])
def test_coma_points_the_right_way(coma):
    """The autocorrelation is the same for both; 40 frames show coma in every other movie, in this one too."""
    raw = movie(40, na=1.4, wavelength_nm=670.0, psf_coma_rad=coma, height=40, width=36, seed=11)
    psf = learned(raw, AIRY)
    assert isinstance(psf, Pupil)
    assert psf.aberrations[4] == pytest.approx(coma, abs=0.15)


@pytest.mark.parametrize("psf", [Gaussian(110.0), Airy(1.2, 680.0), Ellipse(125.0, 105.0, 60.0)])
def test_the_simplest_psf_that_fits_is_believed(psf):
    noise = 2e-3 * np.random.default_rng(1).standard_normal((40, 40))
    moments = FieldMoments(autocorrelation(psf, 100.0) + noise, np.zeros((40, 80)), np.ones(40))
    found = find_psf(moments, 100.0).psf
    assert type(found) is type(psf)
    assert found.equivalent_sigma_nm == pytest.approx(psf.equivalent_sigma_nm, rel=0.01)


def test_a_lamp_that_flickers_and_dyes_that_bleach_do_not_change_it():
    raw = movie(60, bleaching_half_life_frames=80, seed=6)
    rng = np.random.default_rng(6)
    structure = 3000.0 * np.kron(rng.random((16, 28)), np.ones((3, 2)))  # never blinks, blocks of 3 x 2 pixels
    lamp = 1 + 0.1 * rng.standard_normal((60, 1, 1))
    assert learned(raw + structure * lamp).equivalent_sigma_nm == pytest.approx(110.0, rel=0.05)


@pytest.mark.parametrize(
    "raw",
    [np.random.default_rng(0).poisson(50, (100, 48, 48)), np.full((50, 32, 32), 7), movie(5), movie(30)[:, :12]],
    ids=["noise", "constant", "few frames", "small field"],
)
def test_what_cannot_be_told_is_assumed_or_kept(raw):
    assert learned(raw, AIRY) == AIRY
    psf = learned(raw)
    assert psf.sigma_nm == NOMINAL_SIGMA_NM
    assert "assumed" in psf.origin


def test_frames_that_only_brighten_show_no_psf():
    """Rounding errors are smooth over the whole field: a PSF as wide as that would never be done."""
    frames = np.stack([np.full((16, 16), 100.0 + k) for k in range(60)])
    moments = FieldMoments()
    for first in range(0, 60, 10):
        moments.add(frames[first : first + 10])
    for given in (None, Gaussian(110.0)):
        assert find_psf(moments, 100.0, given).psf.equivalent_sigma_nm == pytest.approx(110.0)


@pytest.mark.parametrize("sigma_nm", [95.0, 130.0, 170.0])
@pytest.mark.parametrize("shape", [(64, 64), (41, 75)])
def test_psf_width_from_moments(sigma_nm, shape):
    scene = Scene(height=shape[0], width=shape[1], psf_sigma_nm=sigma_nm, density=3, seed=3)
    psf = learned(np.stack([pixels for pixels, _ in simulate(scene, frames=150)]))
    assert psf.origin == "learned from the frames"
    assert psf.sigma_nm == pytest.approx(sigma_nm, rel=0.05)


def test_psf_stays_nominal_on_noise():
    noise = np.random.default_rng(0).poisson(50, (100, 48, 48))
    psf = learned(noise)
    assert psf.sigma_nm == NOMINAL_SIGMA_NM
    assert "assumed" in psf.origin


@pytest.mark.parametrize("at", [(0, 0), (0, 20), (20, 0), (20, 20), (7, 12)])
def test_the_centre_of_a_single_point_is_there_also_in_a_corner(at):
    density = np.zeros((21, 21))
    density[at] = 1
    assert centre_nm(density, 5.0) == ((at[0] - 10) * 5, (at[1] - 10) * 5)
