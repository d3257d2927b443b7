"""The public interface: `import selfstorm`."""

import doctest
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import selfstorm
from selfstorm.cli import cli
from selfstorm.errors import InputError
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import read_pictures
from selfstorm.io.reader import Stamp
from selfstorm.psf.models import Gaussian


def test_the_example_is_true():
    result = doctest.testmod(selfstorm)
    assert (result.failed, result.attempted) == (0, 6 - 1)


def test_importing_it_loads_no_numpy_and_no_torch():
    code = "import sys, selfstorm; print(selfstorm.__version__, sorted({'numpy', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{version('selfstorm')} []\n", done.stderr


def test_it_says_what_it_offers_and_is_typed():
    assert {"reconstruct", "simulate", "evaluate", "__version__"} <= set(dir(selfstorm))
    assert files("selfstorm").joinpath("py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'reconstrukt'"):
        _ = selfstorm.reconstrukt


@pytest.fixture(scope="module")
def movie():
    return selfstorm.simulate(frames=60, height=24, width=28, filaments=5, seed=3)


GIVEN = {"psf": Gaussian(110.0), "offset_adu": 100.0, "gain_adu_per_electron": 4.0, "quality": "fast", "scale": 2}


def test_a_file_and_its_frames_are_the_same_picture_with_its_table(movie, tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie.frames, photometric="minisblack", metadata=None)
    one, other = (selfstorm.reconstruct(source, 100, device="cpu", **GIVEN) for source in (path, movie.frames))
    np.testing.assert_array_equal(one.picture, other.picture, strict=True)
    assert (one.picture.shape, one.pixel_nm, one.error_map.shape) == ((48, 56), 50.0, (24, 28))
    assert {"misfit", "agreement"} <= set(one.metrics)
    found = one.localizations
    assert found["frame"].min() >= 0
    assert found["frame"].max() < 60
    assert 0 < np.median(found["sd_y_nm"]) < 100


def test_a_movie_with_lost_frames_is_the_picture_of_the_command_line(movie, tmp_path, monkeypatch):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie.frames[:40], photometric="minisblack", metadata=None)
    monkeypatch.setattr(MovieFile, "stamp", lambda self, index: Stamp(index + 5 * (index >= 20), None))
    made = selfstorm.reconstruct(path, 100, device="cpu", **GIVEN)
    assert made.localizations["frame"].max() > 40
    options = (
        "--pixel-nm 100 --psf-sigma-nm 110 --offset-adu 100 --gain 4 --quality fast --scale 2 --window all --device cpu"
    )
    line = ["reconstruct", str(path), "-o", str(tmp_path / "out.ome.tif"), *options.split()]
    done = CliRunner().invoke(cli, line)
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(read_pictures(tmp_path / "out.ome.tif").pictures[0], made.picture)


def test_the_paper_model_has_no_table_and_no_error_map(movie):
    result = selfstorm.reconstruct(movie.frames[:16], 100, model="paper", scale=2, device="cpu")
    assert (result.localizations, result.error_map) == (None, None)


def test_mistakes_are_said_in_words(movie, tmp_path):
    dark = np.full((20, 24, 28), np.nan, np.float32)
    dark[:2] = movie.frames[:2]
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie.frames, photometric="minisblack", metadata=None)
    for source, pixel_nm, message in (
        (path, None, "movie.tif: pixel size unknown"),
        (path, 0, "a pixel of 0 nm"),
        (movie.frames[0], 100, r"shape \(24, 28\)"),
        (movie.frames[:4], 100, "4 frames, at least 8 are needed"),
        (dark, 100, "2 frames can be used"),
    ):
        with pytest.raises(InputError, match=message):
            selfstorm.reconstruct(source, pixel_nm, device="cpu", **GIVEN)
    with pytest.raises(InputError, match="no model 'papr'"):
        selfstorm.reconstruct(movie.frames, 100, model="papr", device="cpu")


def test_frames_are_ingested_in_parts(movie, monkeypatch):
    """Of a large movie, too many pixels for one part: each part is its own frames."""
    whole = selfstorm.reconstruct(movie.frames, 100, device="cpu", **{**GIVEN, "estimate": "density"})
    monkeypatch.setattr("selfstorm.stream.memory_plan.MIN_FRAMES_TOGETHER", 10)
    monkeypatch.setattr("selfstorm.stream.memory_plan.MAX_PIXELS_TOGETHER", 10)
    parts = selfstorm.reconstruct(movie.frames, 100, device="cpu", **{**GIVEN, "estimate": "density"})
    assert np.corrcoef(whole.picture.ravel(), parts.picture.ravel())[0, 1] > 0.9
