"""Line profile and region: pure."""

import numpy as np
import pytest
from client_stream import header

from client.picture.field import PictureField
from client.picture.pictures import Picture, PicturePair
from client.picture.profile import along, fwhm, profiles, width_text
from client.picture.region import CameraRegion, region_lines, region_of

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
    return PicturePair(*pictures)


def test_the_width_of_a_ridge_is_measured_in_both_pictures():
    pair = pair_of(ridge(64, 0.06), ridge(16, 0.25))
    sr, raw = profiles(pair, (0.03, 0.7), (1.57, 0.7))
    assert sr.fwhm == pytest.approx(0.06 * SIGMA_PER_FWHM, rel=0.03)
    assert raw.fwhm == pytest.approx(0.25 * SIGMA_PER_FWHM, rel=0.1)
    assert width_text("super-resolved", sr, "µm") == f"super-resolved: FWHM {1000 * sr.fwhm:.0f} nm"


def two_ridges(side, sigma_um, heights):
    """(side, side): a ridge at 0.5 and one at 1.1 µm, as high as said."""
    return heights[0] * ridge(side, sigma_um, 0.5) + heights[1] * ridge(side, sigma_um, 1.1)


def test_both_widths_are_of_the_same_structure():
    # The raw mean is brighter at the other structure: its width there would be of something else.
    sr = two_ridges(64, 0.03, (1.0, 0.6))
    raw = ridge(32, 0.1, 0.5) + 2 * ridge(32, 0.2, 1.1)
    measured = profiles(pair_of(sr, raw), (0.03, 0.7), (1.57, 0.7))
    assert [one.peak for one in measured] == pytest.approx([0.47, 0.47], abs=0.06)
    assert measured[1].fwhm == pytest.approx(0.1 * SIGMA_PER_FWHM, rel=0.15)


def test_a_structure_on_the_flank_of_another_has_no_raw_width():
    sr, raw = two_ridges(64, 0.03, (1.0, 0.6)), 2 * ridge(32, 0.4, 1.3)
    narrow, wide = profiles(pair_of(sr, raw), (0.03, 0.7), (1.57, 0.7))
    assert narrow.fwhm is not None
    assert (wide.peak, wide.fwhm) == (None, None)
    assert "no peak of its own" in width_text("raw mean", wide, "µm")


def test_a_peak_of_one_pixel_is_said_to_be_limited_by_it():
    sr = np.zeros((64, 64), np.float32)
    sr[:, 30] = 1
    narrow, _ = profiles(pair_of(sr, ridge(16, 0.25)), (0.03, 0.7), (1.57, 0.7))
    assert width_text("super-resolved", narrow, "µm").endswith("(limited by the pixel, 25 nm)")
    broad, _ = profiles(pair_of(ridge(64, 0.06), ridge(16, 0.25)), (0.03, 0.7), (1.57, 0.7))
    assert "limited" not in width_text("super-resolved", broad, "µm")


def test_values_are_averaged_across_the_line():
    picture = np.zeros((16, 16), np.float32)
    picture[7, 8] = 8
    field = PictureField(16, 16, "px")
    alone = along(picture, field, (0.5, 7.5), (15.5, 7.5))
    averaged = along(picture, field, (0.5, 7.5), (15.5, 7.5), width=4)
    assert alone.values.max() == pytest.approx(8)
    assert averaged.values.max() == pytest.approx(2, rel=0.05)


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
    assert region_of(FIELD, (16, 16), (0.42, 0.18), (0.52, 0.3)) == CameraRegion(y=2, x=4, height=3, width=5)
    assert region_of(FIELD, (16, 16), (-1, 1.4), (9, 9)) == CameraRegion(y=14, x=0, height=2, width=16)
    assert region_of(FIELD, (16, 16), (1.6, 1.6), (0, 0)) == CameraRegion(y=15, x=15, height=1, width=1)


def test_a_region_says_what_is_in_it():
    sr = np.zeros((64, 64), np.float32)
    sr[8:12, 16:20] = 5
    raw = np.full((16, 16), 100, np.float32)
    raw[2, 4] = 300
    text = "\n".join(region_lines(pair_of(sr, raw), CameraRegion(y=2, x=4, height=1, width=2)))
    for part in ("corner x 4, y 2", "2 x 1 camera pixels", "0.2 x 0.1 µm", "sum 80", "mean 200", "max 300 ADU"):
        assert part in text
