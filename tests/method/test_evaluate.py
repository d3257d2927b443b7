"""Scores, and the truth files that they are taken against."""

import gzip
import math
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import windows

from selfstorm.errors import InputError
from selfstorm.io.truth import TruthWriter, read_truth
from selfstorm.metrics.frc import TAPERED_SHARE, frc_curve, frc_resolution_nm, tukey
from selfstorm.metrics.ground_truth import (
    FINE_NM,
    PictureScore,
    render,
    score_localizations,
    score_picture,
)
from selfstorm.simulation.movie import Movie, Scene

Array = NDArray[Any]
DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the repository")


@pytest.fixture(scope="module")
def emitters() -> Array:
    movie = Movie(Scene(height=40, width=56, density=6, seed=2))
    return np.concatenate(list(islice(movie.emitters(), 200)))


@pytest.fixture(scope="module")
def published() -> tuple[Array, Array]:
    picture = tifffile.imread(DATA / "bundled_tubulins_hd_deepstorm.tif")
    return picture, read_truth(DATA / "bundled_tubulins_hd_emitters.csv.gz")


def rounded(score: PictureScore) -> tuple[object, ...]:
    shift = tuple(round(v, 1) for v in score.shift_nm)
    return (
        round(score.pearson, 4),
        round(score.psnr_db, 2),
        round(score.ssim, 4),
        round(score.gt_frc_nm, 1),
        shift,
    )


@needs_data
def test_published_result_scores_as_measured_before(published: tuple[Array, Array]) -> None:
    picture, truth = published
    assert picture.shape == (512, 512)
    assert rounded(score_picture(picture, truth[:, 1:3], 12.5)) == (0.9595, 28.51, 0.8999, 41.0, (6.2, 6.2))


@needs_data
def test_coarse_oblong_and_odd_pictures_score_as_the_sketch_does(published: tuple[Array, Array]) -> None:
    """Numbers computed with the scoring sketch that this module's definitions come from."""
    picture, truth = published
    oblong = picture[:512, :400].reshape(256, 2, 200, 2).sum((1, 3))
    assert rounded(score_picture(oblong, truth[:, 1:3], 25)) == (0.9549, 27.52, 0.8252, 42.7, (6.9, 5.0))
    odd = picture[:300, :301]
    assert rounded(score_picture(odd, truth[:, 1:3], 12.5)) == (0.9736, 30.19, 0.9136, 39.5, (5.6, 6.2))
    interpolated = picture[::2, ::2]
    wrong_scale = score_picture(interpolated, truth[:, 1:3], 20)
    assert rounded(wrong_scale) == (0.0376, 16.51, 0.045, 732.1, (150.0, 150.0))


@needs_data
def test_raw_standard_deviation_scores_as_measured_before(published: tuple[Array, Array]) -> None:
    stack = tifffile.imread(DATA / "bundled_tubulins_hd.tif")
    score = score_picture(stack.std(0), published[1][:, 1:3], 100)
    assert (round(score.pearson, 2), round(score.gt_frc_nm)) == (0.57, 206)


@pytest.mark.parametrize("pitch_nm", [12.5, 25.0])
def test_a_perfect_picture_scores_one(emitters: Array, pitch_nm: float) -> None:
    shape = round(4000 / pitch_nm), round(5600 / pitch_nm)
    score = score_picture(render(emitters[:, 1:3], shape, pitch_nm), emitters[:, 1:3], pitch_nm)
    assert score.pearson > (0.9999 if pitch_nm == 12.5 else 0.97)
    assert score.ssim > (0.9999 if pitch_nm == 12.5 else 0.9)
    assert score.gt_frc_nm == 25 if pitch_nm == 12.5 else score.gt_frc_nm < 45
    assert score.psnr_db > (100 if pitch_nm == 12.5 else 25)
    assert np.abs(score.shift_nm).max() <= pitch_nm / 2


def test_brightness_offset_and_a_global_shift_do_not_matter(emitters: Array) -> None:
    truth = render(emitters[:, 1:3], (320, 448), FINE_NM)
    blurred = gaussian_filter(truth, 2)
    plain = score_picture(blurred, emitters[:, 1:3], FINE_NM)
    moved = score_picture(7 * np.roll(blurred, (4, -6), (0, 1)) + 3, emitters[:, 1:3], FINE_NM)
    assert moved.shift_nm == pytest.approx((-50, 75), abs=1)
    # Cells that were rolled in from the other side, and zeros moved in at the edge, cost a little.
    assert moved.pearson == pytest.approx(plain.pearson, abs=0.1)
    brighter = score_picture(1000 * blurred, emitters[:, 1:3], FINE_NM)
    for name in ("pearson", "psnr_db", "ssim", "gt_frc_nm"):
        assert getattr(brighter, name) == pytest.approx(getattr(plain, name), rel=1e-6)
    unaligned = score_picture(np.roll(blurred, 4, 0), emitters[:, 1:3], FINE_NM, align=False)
    assert unaligned.shift_nm == pytest.approx((0, 0), abs=0)
    assert unaligned.pearson < plain.pearson - 0.1


def test_a_blurrier_picture_scores_worse(emitters: Array) -> None:
    truth = render(emitters[:, 1:3], (320, 448), FINE_NM)
    sharp, soft = (score_picture(gaussian_filter(truth, s), emitters[:, 1:3], FINE_NM) for s in (1, 8))
    assert sharp.pearson > soft.pearson + 0.05
    assert sharp.ssim > soft.ssim
    assert sharp.psnr_db > soft.psnr_db


@pytest.mark.parametrize("side", [2, 4, 5, 33, 256])
def test_the_window_is_tukeys(side: int) -> None:
    np.testing.assert_allclose(tukey(side), windows.tukey(side, TAPERED_SHARE), atol=1e-14)


def test_frc_is_one_for_equal_pictures_and_low_for_unrelated_noise() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 128, 150))
    frequency, same = frc_curve(first, first)
    np.testing.assert_allclose(same, 1, atol=1e-6)
    assert (frequency[0], frequency[-1]) == (1 / 128, 63 / 128)
    assert np.abs(frc_curve(first, second)[1][5:]).mean() < 0.1
    assert frc_resolution_nm(first, first, 10) == 20
    assert frc_resolution_nm(first, second, 10) > 100


def test_frc_resolution_is_where_shared_detail_ends() -> None:
    rng = np.random.default_rng(1)
    spectrum = np.fft.fft2(rng.normal(size=(256, 256)))
    radius = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    shared = np.fft.ifft2(spectrum * (radius < 0.2)).real
    first, second = (shared + 0.3 * rng.normal(size=shared.shape) for _ in range(2))
    # The mean over 5 rings falls below 1/7 only three rings beyond the last shared one, ring 51 of 256.
    assert frc_resolution_nm(first, second, 10) == pytest.approx(10 * 256 / 54, rel=0.03)


PICTURE = np.random.default_rng(0).random((40, 40))
ONE = np.array([[200.0, 200.0]])


@pytest.mark.parametrize(
    ("picture", "yx_nm", "pitch_nm", "says"),
    [
        (np.ones((40, 40)), ONE, 12.5, "picture: .*constant"),
        (np.where(PICTURE > 0.9, np.nan, PICTURE), ONE, 12.5, "picture: .*not finite"),
        (PICTURE + np.inf, ONE, 12.5, "picture: .*not finite"),
        (PICTURE[None], ONE, 12.5, "picture: shape"),
        (PICTURE[:9], ONE, 12.5, "picture: .*200 nm"),
        (PICTURE, ONE, 10_000, "picture: .*too many"),
        (PICTURE, ONE, 0.0, "pitch_nm"),
        (PICTURE, ONE, math.nan, "pitch_nm"),
        (PICTURE, ONE + 1e6, 12.5, "emitters_yx_nm: no emitter"),
        (PICTURE, np.empty((0, 2)), 12.5, "emitters_yx_nm: no emitter"),
        (PICTURE, ONE * np.nan, 12.5, "emitters_yx_nm: .*not finite"),
        (PICTURE, ONE[0], 12.5, "emitters_yx_nm: shape"),
    ],
)
def test_what_cannot_be_scored_is_refused(picture: Array, yx_nm: Array, pitch_nm: float, says: str) -> None:
    with pytest.raises(InputError, match=says):
        score_picture(picture, yx_nm, pitch_nm)


def test_localizations_are_matched_within_their_frame() -> None:
    true = np.array([[0, 100.0, 100], [0, 500, 500], [1, 100, 100], [3, 0, 0]])
    found = np.array([[0, 130.0, 140], [0, 900, 900], [1, 100, 130], [2, 100, 100]])
    score = score_localizations(found, true)
    assert (score.jaccard, score.recall, score.precision) == (2 / 6, 2 / 4, 2 / 4)
    assert score.rmse_nm == pytest.approx(math.sqrt((50**2 + 30**2) / 2))
    assert score_localizations(found, true, tolerance_nm=40).recall == 1 / 4


def test_most_pairs_win_over_the_least_distance() -> None:
    # The second found point lies on the first true one; so paired, the others would be 108 nm apart: too far.
    score = score_localizations([[0, 0, 0], [0, 0, 50]], [[0, 0, 50], [0, 40, 100]])
    assert score.recall == 1
    assert score.rmse_nm == pytest.approx(math.sqrt((50**2 + 40**2 + 50**2) / 2))


def test_perfect_and_empty_localizations(emitters: Array) -> None:
    assert score_localizations(emitters[:500], emitters[:500]).jaccard == 1
    nothing = score_localizations([], emitters[:500])
    assert (nothing.jaccard, nothing.recall, nothing.precision) == (0, 0, 0)
    assert math.isnan(nothing.rmse_nm)
    with pytest.raises(InputError, match=r"found: .*not finite"):
        score_localizations([[0, 1, math.nan]], emitters)


@pytest.mark.parametrize("name", ["truth.csv", "truth.csv.gz"])
@pytest.mark.parametrize("photons", [True, False])
def test_truth_written_frame_by_frame_comes_back(tmp_path: Path, emitters: Array, name: str, photons: bool) -> None:
    with TruthWriter(tmp_path / name, photons=photons) as writer:
        for frame in range(200):
            writer.append(emitters[emitters[:, 0] == frame])
    back = read_truth(tmp_path / name)
    assert back.shape == (len(emitters), 4 if photons else 3)
    np.testing.assert_array_equal(back[:, 0], emitters[:, 0])
    np.testing.assert_allclose(back[:, 1:3], emitters[:, 1:3], atol=6e-4)
    np.testing.assert_allclose(back[:, 3:], emitters[:, 3 : back.shape[1]], atol=6e-3)


def test_columns_are_found_by_name_among_others(tmp_path: Path) -> None:
    file = tmp_path / "truth.csv"
    file.write_bytes(b'\xef\xbb\xbf"id", x_nm,frame,y_nm\r\n"a",20,3,10.5\r\n\r\n"b",40,4,30\r\n')
    np.testing.assert_array_equal(read_truth(file), [[3, 10.5, 20], [4, 30, 40]])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "truth.csv: the file is empty"),
        (b"frame,y_nm,x_nm\n", "truth.csv: no emitters"),
        (b"frame,y_nm\n0,1\n", "truth.csv, line 1: no column x_nm"),
        (b"0,1,2\n0,1,2\n", "line 1: no column frame"),
        (b"frame,y_nm,x_nm\n0,1,2\n\n0,far,2\n", "line 4: y_nm is 'far', not a number"),
        (b"frame,y_nm,x_nm\n0,1,2\n0,1\n", "line 3: only 2 values, none for x_nm"),
        (b"frame,y_nm,x_nm\n0,1,2\n0,1,nan\n", "line 3: x_nm cannot be nan"),
        (b"frame,y_nm,x_nm\n0.5,1,2\n", "line 2: frame cannot be 0.5"),
        (b"frame,y_nm,x_nm\n-1,1,2\n", "line 2: frame cannot be -1"),
        (b"frame,y_nm,x_nm\n1_0,1,2\n", "truth.csv: "),
        (b"\xff\xfe\x00\x01", "not a text file"),
    ],
)
def test_a_bad_truth_file_is_refused_where_it_is_bad(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "truth.csv"
    file.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_truth(file)
    assert caught.value.hint


def test_a_torn_or_absent_truth_file_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"frame,y_nm,x_nm\n" + b"0,1,2\n" * 1000)
    for name, content in {"torn.csv.gz": whole[:-20], "false.csv.gz": b"frame,y_nm,x_nm\n0,1,2\n"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            read_truth(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_truth(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="cannot be written"):
        TruthWriter(tmp_path / "no folder" / "truth.csv")


def test_rows_that_are_no_emitters_are_not_written(tmp_path: Path) -> None:
    with TruthWriter(tmp_path / "truth.csv") as writer, pytest.raises(InputError, match="photons"):
        writer.append(np.zeros((2, 3)))
