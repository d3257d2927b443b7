"""Line profile and region: pure."""

import numpy as np
import pytest
from client_stream import header

from client.picture.field import PictureField
from client.picture.pictures import Pair, Picture
from client.picture.profile import along, fwhm, profiles, width_text
from client.picture.region import Region, region_lines, region_of

FIELD = PictureField(1.6, 1.6, "µm")
SIGMA_PER_FWHM = 2 * np.sqrt(2 * np.log(2))


def ridge(side, sigma_um, at_um=0.83):
    """(side, side): a vertical Gaussian ridge over the field."""
    centres = (np.arange(side) + 0.5) * FIELD.width / side
    return np.tile(np.exp(-((centres - at_um) ** 2) / (2 * sigma_um**2)).astype(np.float32), (side, 1))


def pair_of(sr, raw):
    scale = sr.shape[0] // raw.shape[0]
    pictures = []
    for kind, data in (("sr.refined", sr), ("raw.mean", raw)):
        one = header(kind, shape=data.shape, scale=scale if kind == "sr.refined" else 1)
        pictures.append(Picture(one.model_copy(update={"pixel_nm": 1600.0 / data.shape[0]}), data, 0.0))
    return Pair(*pictures)


def test_the_width_of_a_ridge_is_measured_in_both_pictures():
    pair = pair_of(ridge(64, 0.06), ridge(16, 0.25))
    sr, raw = profiles(pair, (0.03, 0.7), (1.57, 0.7))
    assert sr.fwhm == pytest.approx(0.06 * SIGMA_PER_FWHM, rel=0.03)
    assert raw.fwhm == pytest.approx(0.25 * SIGMA_PER_FWHM, rel=0.1)
    assert width_text("super-resolved", sr, "µm") == f"super-resolved: FWHM {1000 * sr.fwhm:.0f} nm"


def test_a_slanted_line_sees_the_ridge_wider():
    straight = along(ridge(64, 0.06), FIELD, (0.03, 0.8), (1.57, 0.8))
    slanted = along(ridge(64, 0.06), FIELD, (0.3, 0.3), (1.3, 1.3))
    assert slanted.fwhm == pytest.approx(np.sqrt(2) * straight.fwhm, rel=0.03)
    assert slanted.distance[-1] == pytest.approx(np.sqrt(2))


def test_values_lie_at_pixel_centres():
    picture = np.arange(16, dtype=np.float32).reshape(4, 4)
    profile = along(picture, PictureField(4, 4, "px"), (0.5, 1.5), (3.5, 1.5))
    assert np.interp([0, 1, 2, 3], profile.distance, profile.values) == pytest.approx([4, 5, 6, 7])


@pytest.mark.parametrize("values", [[1, 1, 1], [3, 2, 1], [1, 2, 3], [0, np.nan, 0]])
def test_without_a_whole_peak_there_is_no_width(values):
    assert fwhm(np.arange(3.0), np.array(values, float)) is None


def test_a_region_is_whole_camera_pixels_within_the_field():
    assert region_of(FIELD, (16, 16), (0.42, 0.18), (0.52, 0.3)) == Region(y=2, x=4, height=3, width=5)
    assert region_of(FIELD, (16, 16), (-1, 1.4), (9, 9)) == Region(y=14, x=0, height=2, width=16)
    assert region_of(FIELD, (16, 16), (1.6, 1.6), (0, 0)) == Region(y=15, x=15, height=1, width=1)


def test_a_region_says_what_is_in_it():
    sr = np.zeros((64, 64), np.float32)
    sr[8:12, 16:20] = 5
    raw = np.full((16, 16), 100, np.float32)
    raw[2, 4] = 300
    text = "\n".join(region_lines(pair_of(sr, raw), Region(y=2, x=4, height=1, width=2)))
    for part in ("corner x 4, y 2", "2 x 1 camera pixels", "0.2 x 0.1 µm", "sum 80", "mean 200", "highest 300 ADU"):
        assert part in text
