"""A benchmark that cannot write its results, or would replace others, says so before it measures anything."""

import importlib

import pytest
from click.testing import CliRunner

from selfstorm.errors import InputError

NAMES = ["accumulated", "camera", "claims", "drift", "feedback", "memory", "now"]


@pytest.mark.parametrize("name", NAMES)
def test_results_of_an_earlier_run_are_not_replaced(name, tmp_path):
    earlier = tmp_path / f"{name}.md"
    earlier.write_text("of an earlier run", encoding="utf-8")
    command = importlib.import_module(f"benchmarks.{name}").main
    with pytest.raises(InputError, match="exists already"):
        CliRunner().invoke(command, ["-o", str(tmp_path)], catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == [earlier.name]


def test_a_picture_of_halves_replaces_none(tmp_path):
    picture = tmp_path / "halves.png"
    picture.write_bytes(b"earlier")
    line = [str(tmp_path / "movie.tif"), "--pixel-nm", "100", "-o", str(picture)]
    with pytest.raises(InputError, match="exists already"):
        CliRunner().invoke(importlib.import_module("benchmarks.halves").main, line, catch_exceptions=False)
