"""docs/method.md: every function it names is in the code, and every record it links is there."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "method.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROOMS = "baselines|calibration|metrics|physics|psf|stages|stream"
NAMED = sorted(set(re.findall(rf"`((?:{ROOMS})\.[\w.]+)`", TEXT)))


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_names_is_in_the_code(name):
    module, _, last = name.rpartition(".")
    try:
        importlib.import_module(f"selfstorm.{name}")
    except ModuleNotFoundError:
        assert hasattr(importlib.import_module(f"selfstorm.{module}"), last)


def test_the_page_names_all_stages_and_links_are_files():
    assert len(NAMED) > 20
    assert {"stages.density.iterate", "stages.emitters.emitter_maps", "stages.localization.localize"} <= set(NAMED)
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXT):
        assert (PAGE.parent / link).is_file(), link
