"""Every error that is raised on purpose descends from SelfStormError, and errors.py draws all of them."""

import ast
from pathlib import Path

import selfstorm.errors

ROOT = Path(selfstorm.errors.__file__).parents[1]
FILES = [path for room in ("selfstorm", "daemon", "client") for path in (ROOT / room).rglob("*.py")]


def error_classes():
    """Name and bases of each exception class: those whose name, or whose base's name, ends in Error or Exception."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base) for base in node.bases]
                if any(base.endswith(("Error", "Exception")) for base in bases):
                    yield node.name, bases


def test_every_error_descends_from_the_base():
    bases = dict(error_classes())
    assert bases.pop("SelfStormError") == ["Exception"]

    def descends(name):
        return name == "SelfStormError" or any(descends(base) for base in bases.get(name, []))

    assert [name for name in bases if not descends(name)] == []


def test_the_drawing_shows_every_error():
    drawn = set(selfstorm.errors.__doc__.replace("─", " ").split())
    assert {name for name, _ in error_classes()} <= drawn
