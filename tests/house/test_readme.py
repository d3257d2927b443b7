"""README: short, and true links; its commands are run by test_pages.py."""

import re
from pathlib import Path

import pytest

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
