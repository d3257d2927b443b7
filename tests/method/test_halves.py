"""Halves of a movie confirm structure, and refuse to say anything of noise."""

import numpy as np
import pytest
from benchmarks.halves import compare_halves, main, ways_of_dealing
from click.testing import CliRunner
from tifffile import imwrite

import selfstorm
from selfstorm.errors import InputError

SCENE = {"height": 24, "width": 24, "density": 3.0, "photons": 2000.0, "seed": 5, "filaments": 4}


def movie_of(seed):
    return selfstorm.simulate(120, **(SCENE | {"seed": seed})).frames


def coarse(frames):
    return selfstorm.reconstruct(frames, 100.0, scale=2, quality="fast")


def test_structure_is_confirmed_and_what_one_half_alone_shows_is_not():
    one, other = movie_of(5), movie_of(6)
    dealt, second = next(iter(ways_of_dealing(len(one)).items()))
    mixed = one.copy()
    mixed[second] = other[second]
    same, different = (compare_halves(dealt, second, frames, coarse) for frames in (one, mixed))
    assert same.correlation > 0.4 > 0.1 > different.correlation
    assert same.frc_nm < different.frc_nm


def test_frames_are_dealt_in_three_ways_and_each_is_in_one_half():
    short, long, earlier = ways_of_dealing(60, block=5).values()
    assert short[:15].tolist() == [False] * 5 + [True] * 5 + [False] * 5
    assert long[:25].tolist() == [False] * 10 + [True] * 10 + [False] * 5
    assert earlier.tolist() == [False] * 30 + [True] * 30


def test_the_command_draws_the_halves_and_says_how_they_agree(tmp_path):
    imwrite(tmp_path / "movie.tif", movie_of(5)[:40], photometric="minisblack")
    asked = [str(tmp_path / "movie.tif"), "--pixel-nm", "100", "--scale", "2", "-o", str(tmp_path / "halves.png")]
    done = CliRunner().invoke(main, asked, catch_exceptions=False)
    lines = done.output.splitlines()
    assert lines[0].startswith("the picture of all frames claims")
    assert [line.split(" correlate ")[0] for line in lines[1:]] == [
        "halves of blocks of 10",
        "halves of blocks of 6",
        "halves of earlier and later",
    ]
    assert (tmp_path / "halves.png").stat().st_size > 10_000


def test_noise_has_no_halves_to_compare():
    noise = np.random.default_rng(1).poisson(100, (40, 24, 24)).astype(np.uint16)
    with pytest.raises(InputError, match="shows nothing"):
        compare_halves("by turns", np.arange(40) % 2 == 1, noise, coarse)
