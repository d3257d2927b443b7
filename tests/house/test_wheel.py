"""The wheel works alone: shipped configurations, a recording without a configuration, the benchmarks' refusal."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import tifffile

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with nothing in it but what the wheel brings."""
    folder = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (wheel,) = folder.glob("*.whl")
    ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def command(installed, folder, entry, *arguments):
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); from {entry}.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    line = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=110, env=environment)


def test_it_holds_the_configurations_and_no_tests_or_benchmarks(installed):
    assert {path.name for path in (installed / "daemon" / "configs").iterdir()} >= {
        "simulate.toml",
        "micromanager.toml",
    }
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {
        "selfstorm",
        "daemon",
        "client",
    }
    assert not list(installed.rglob("*benchmarks*"))


def test_a_shipped_configuration_runs_by_its_name(installed, tmp_path):
    done = command(installed, tmp_path, "daemon", "run", "simulate", "--duration", 1)
    assert done.returncode == 0, done.stderr
    assert "missing 0" in done.stdout


def test_a_recording_runs_without_a_configuration(installed, tmp_path):
    frames = np.random.default_rng(1).poisson(100, (40, 16, 16)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "movie.tif", frames, photometric="minisblack", metadata=None)
    done = command(installed, tmp_path, "daemon", "run", "movie.tif", "--pixel-nm", 100, "--lossless")
    assert done.returncode == 0, done.stderr
    assert "sent 40 = received 40 + missing 0" in done.stdout


def test_an_unknown_name_lists_what_there_is(installed, tmp_path):
    done = command(installed, tmp_path, "daemon", "run", "simulat")
    assert done.returncode == 2
    assert "no such configuration or recording" in done.stderr
    assert "simulate" in done.stderr
    assert "Traceback" not in done.stderr


def test_benchmarks_say_where_they_are(installed, tmp_path):
    done = command(installed, tmp_path, "selfstorm", "benchmark")
    assert done.returncode == 2
    assert "not part of the installed package" in done.stderr
