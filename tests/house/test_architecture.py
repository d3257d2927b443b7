"""docs/architecture.md names a file and a definition for every step a frame takes, and they exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STEPS = re.findall(r"`([\w/]+\.py)(?:: (\w+))?`", PAGE)


def defined_in(path):
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_the_page_follows_all_four_parts_of_the_way():
    parts = re.findall(r"^## (.+)$", PAGE, re.M)
    assert parts[:4] == [
        "A frame enters",
        "It becomes part of a window",
        "It becomes a picture",
        "It reaches the screen",
    ]
    assert len(STEPS) > 30


@pytest.mark.parametrize(("file", "name"), sorted(set(STEPS)))
def test_every_step_exists(file, name):
    path = ROOT / file
    assert path.is_file(), f"docs/architecture.md names {file}, which is not there"
    assert not name or name in defined_in(path), f"docs/architecture.md names {name}, which {file} does not define"


def test_every_file_that_a_page_names_is_there():
    sources = [
        path
        for folder in ("selfstorm", "daemon", "client", "tools", "tests", "docs")
        for path in (ROOT / folder).rglob("*.py")
    ]
    there = {path.name for path in sources}
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {
        (page.name, file)
        for page in pages
        for file in re.findall(r"`[\w/]*?(\w+\.py)`", page.read_text(encoding="utf-8"))
    }
    gone = sorted((page, file) for page, file in named if file not in there)
    assert not gone, gone
