"""The documentation builds without a warning, and its generated pages hold what the code declares."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.sources.kinds import KINDS
from selfstorm.metrics.registry import METRICS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=110, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


def page(site, name):
    return (site / name / "index.html").read_text(encoding="utf-8")


def test_tables_of_the_reference_are_those_of_the_code(tmp_path):
    """They are made in a process of their own: click keeps the help option that a command was first called with."""
    kept, made = ROOT / "docs" / "reference", tmp_path / "reference"
    shutil.copytree(kept, made)
    subprocess.run([sys.executable, ROOT / "tools" / "docs_reference.py", made], check=True, timeout=60, cwd=ROOT)
    for path in made.glob("*.md"):
        assert path.read_text(encoding="utf-8") == (kept / path.name).read_text(encoding="utf-8"), (
            f"{path.name} is not up to date: run python tools/docs_reference.py"
        )


def test_every_metric_source_and_command_is_in_the_reference(site):
    metrics, sources, commands = (page(site, f"reference/{name}") for name in ("metrics", "sources", "command-line"))
    assert all(metric.key in metrics for metric in METRICS)
    assert all(kind.usage in sources for kind in KINDS.values())
    assert "selfstorm-daemon replay-run" in commands
    assert "reconstruction.region" in page(site, "how-to/control")


def test_settings_say_type_range_and_default(site):
    settings = page(site, "reference/settings")
    assert "float, ≥ 10, ≤ 5000" in settings
    assert "tcp://127.0.0.1:5711" in settings


def test_events_carry_their_text(site):
    assert "checkpoint_used" in page(site, "reference/events")
