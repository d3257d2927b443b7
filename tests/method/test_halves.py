"""Halves of a movie confirm structure, and refuse to say anything of noise."""

import numpy as np
import pytest
from benchmarks.halves import BLOCK_FRAMES, compare_halves, main
from click.testing import CliRunner
from tifffile import imwrite

import selfstorm
from selfstorm.errors import InputError

SCENE = {"height": 24, "width": 24, "density": 3.0, "photons": 2000.0, "seed": 5, "filaments": 4}


def movie_of(seed):
    return selfstorm.simulate(120, **(SCENE | {"seed": seed})).frames


def test_structure_is_confirmed_and_what_one_half_alone_shows_is_not():
    one, other = movie_of(5), movie_of(6)
    mixed = one.copy()
    odd = (np.arange(len(one)) // BLOCK_FRAMES) % 2 == 1
    mixed[odd] = other[odd]
    same, different = (compare_halves(frames, 100.0, scale=4) for frames in (one, mixed))
    assert same.correlation > 0.4 > 0.1 > different.correlation
    assert same.frc_nm < different.frc_nm


def test_the_command_draws_the_halves_and_says_how_they_agree(tmp_path):
    imwrite(tmp_path / "movie.tif", movie_of(5)[:40], photometric="minisblack")
    asked = [str(tmp_path / "movie.tif"), "--pixel-nm", "100", "-o", str(tmp_path / "halves.png")]
    done = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert done.output.startswith("halves correlate 0.")
    assert (tmp_path / "halves.png").stat().st_size > 10_000


def test_noise_has_no_halves_to_compare():
    noise = np.random.default_rng(1).poisson(100, (40, 24, 24)).astype(np.uint16)
    with pytest.raises(InputError, match="shows nothing"):
        compare_halves(noise, 100.0, scale=2)
