"""The code speaks the field's language: no banned word, imperative docstrings, one meaning for a name."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("selfstorm", "daemon", "client", "tools")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
OPENERS = re.compile(r"(What|Who|Whose|How|Whether|Why|As many|As much)\b")
MAX_FIRST_LINE = 72
# Phrases that no microscopist would use, in docstrings, comments and texts that users see.
PHRASES = re.compile(
    r"\b(mend (that|this|the|it)|[Ss]omebody|[Nn]obody|hung up|less was made|made less of|(taken|let|takes|take) in\b"
    r"|(is|are|was|were|be|not) (believed|told|looked at)|what the microscope sees now|[Ff]oretold|[Ff]oresight"
    r"|beside it lies|what is there to see|has said nothing)"
)
# Identifiers that were renamed to the field's terms, and prefixes that constants do not have.
IDENTIFIERS = re.compile(
    r"(Room|Roomy|Haze|Strip|Film|Pace|Demand|Effort|Desk|Asker|Door|Guests|Keeper|Guard|Shot|Happening|Left|Sitting"
    r"|Errand|Courier|Reach|Lamp|Fused|Memory|Judgement|Watchers|Place|Intake"
    r"|foretold|foresight|with_less|part_of|replacing|steps_down|first_words|brought|mended|unlit"
    r"|_?(LEAST|MOST|SURE|NEARLY|CLEARLY|ENOUGH)(_\w+)?|\w+_(LEAST|MOST))"
)
# Two classes of one name are two meanings of one word.
SHARED_NAMES = {"Config"}


def relative(path):
    return path.relative_to(ROOT).as_posix()


def documented(tree):
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Module)
    return [node for node in ast.walk(tree) if isinstance(node, kinds) and ast.get_docstring(node)]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_docstrings_open_with_an_imperative_or_a_noun(path):
    bad = []
    for node in documented(ast.parse(path.read_text(encoding="utf-8"))):
        first = ast.get_docstring(node).splitlines()[0]
        if OPENERS.match(first) or len(first) > MAX_FIRST_LINE:
            bad.append(f"{getattr(node, 'name', 'module')}: {first}")
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_prose_is_plain_english(path):
    text = path.read_text(encoding="utf-8")
    kinds = (tokenize.COMMENT, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    prose = [(token.start[0], " ".join(token.string.split())) for token in tokens if token.type in kinds]
    bad = [f"{relative(path)}:{line}: '{match[0]}'" for line, words in prose for match in PHRASES.finditer(words)]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_names_are_the_fields_terms(path):
    bad = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names = [node.id]
        bad |= {name for name in names if IDENTIFIERS.fullmatch(name)}
    assert not bad, f"{relative(path)}: {', '.join(sorted(bad))}"


def test_no_public_class_has_two_meanings():
    where = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(relative(path))
    twice = {name: paths for name, paths in where.items() if len(paths) > 1 and name not in SHARED_NAMES}
    assert not twice, twice
