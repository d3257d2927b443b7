"""README: short, true links, and commands that run."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from daemon.cli import cli as daemon_cli
from daemon.run_target import configuration
from selfstorm.cli import cli as selfstorm_cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.M | re.S)
QUOTED = re.findall(r"`(selfstorm[^`]*)`", README)
MAX_LINES = 105


def test_it_is_short_and_opens_with_a_picture():
    lines = README.splitlines()
    assert len(lines) <= MAX_LINES
    assert next(line for line in lines[1:] if line).startswith("![")


@pytest.mark.parametrize("target", sorted({one for one in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in one}))
def test_every_link_has_its_file(target):
    assert (ROOT / target).exists()


def test_the_commands_of_a_movie_run_as_they_stand(tmp_path, monkeypatch):
    """Those of other blocks are marked as text: they install something."""
    (commands,) = (lines.splitlines() for mark, lines in BLOCKS if mark != "text")
    monkeypatch.chdir(tmp_path)
    light, rng = np.full((20, 8, 8), 100.0), np.random.default_rng(1)
    for place in ((2, 2), (3, 5), (6, 4)):  # blinking spots, 3 x 3 pixels wide
        light[rng.random(20) < 0.4, place[0] - 1 : place[0] + 2, place[1] - 1 : place[1] + 2] += 300
    tifffile.imwrite("MOVIE.tif", rng.poisson(light).astype(np.uint16))
    for command in commands:
        result = CliRunner().invoke(selfstorm_cli, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} >= {"OUT.ome.tif", "OUT.csv"}


@pytest.mark.parametrize("command", QUOTED)
def test_a_command_in_a_sentence_exists_with_its_options(command):
    program, *words = shlex.split(command)
    if program == "selfstorm-viewer" or "(" in command or not words:
        return
    group = {"selfstorm": selfstorm_cli, "selfstorm-daemon": daemon_cli}[program]
    help_text = CliRunner().invoke(group, [words[0], "--help"]).output
    assert help_text.startswith("Usage:")
    assert all(word in help_text for word in words if word.startswith("--"))
    if words[0] == "run":
        configuration(words[1], {})
