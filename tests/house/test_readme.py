"""README: short, and true links; its commands are run by test_pages.py."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from daemon.sources.micromanager import PORT

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_LINES = 105


def test_it_is_short_and_opens_with_a_picture():
    lines = README.splitlines()
    assert len(lines) <= MAX_LINES
    assert next(line for line in lines[1:] if line).startswith("![")


@pytest.mark.parametrize("target", sorted({one for one in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in one}))
def test_every_link_has_its_file(target):
    assert (ROOT / target).exists()


def results(page):
    return json.loads((ROOT / "docs" / "benchmarks" / f"{page}.json").read_text(encoding="utf-8"))


TUBULINS = results("tubulins")
ROWS = {  # of README's table, and the methods of the benchmark that they show
    "Self-STORM live, `reconstruct` as it comes": ["ours"],
    "`fast`, density alone": ["ours, fast, density alone"],
    "published Self-STORM, untrained / 5 epochs": ["paper, untrained", "paper, 5 epochs"],
    "FISTA on every frame": ["FISTA"],
}


def cells(first):
    """The cells of a table's row, without marks, but for the first."""
    [row] = re.findall(rf"^\| {re.escape(first)} \|(.*)\|$", README, re.MULTILINE)
    return [cell.strip().replace("*", "") for cell in row.split("|")]


@pytest.mark.parametrize("row", ROWS)
def test_the_table_of_accuracy_has_the_figures_of_the_benchmark(row):
    found = {one["label"]: one for one in TUBULINS["results"]}
    of = [found[label] for label in ROWS[row]]
    *scores, seconds = cells(row)
    for cell, key, digits in zip(scores, ("pearson", "ssim", "gt_frc_nm"), (3, 2, 0), strict=True):
        assert cell.removesuffix(" nm").split(" / ") == [f"{one[key]:.{digits}f}".removeprefix("0") for one in of]
    shown = seconds.removesuffix(" s").split(" / ")
    assert [float(s) for s in shown] == [
        round(one["seconds"], len(s.partition(".")[2])) for s, one in zip(shown, of, strict=True)
    ]


@pytest.mark.parametrize(("rate_hz", "stages"), [(25, ("preview_ms", "refined_ms")), (100, ("refined_ms",))])
def test_the_table_of_speed_has_the_figures_of_the_benchmark(rate_hz, stages):
    [of] = [one for one in results("stream")["rates"] if (one["side_px"], one["rate_hz"]) == (64, rate_hz)]
    [row] = re.findall(rf"^\| 64 x 64 \| {rate_hz} /s \|(.*)\|$", README, re.MULTILINE)
    assert re.findall(r"([\d.]+) s", row) == [f"{of[stage][0] / 1e3:.1f}" for stage in stages]
    assert of["effort"].split()[0] in row


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (
            r"Python ([\d.]+) or newer",
            tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"],
        ),
        (r"server on port (\d+)", str(PORT)),
        (r"bundled tubulins \((\d+) frames", str(TUBULINS["movie"]["frames"])),
    ],
)
def test_other_numbers_are_those_of_the_code(pattern, value):
    [found] = re.findall(pattern, README)
    assert found == value.removeprefix(">=")
