"""Write the tables of docs/reference from the code.

A table stands between `<!-- reference: NAME -->` and `<!-- end -->`; tests/house/test_documentation.py holds them equal
to the code.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import griffe
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from daemon.sources.kinds import KINDS, resolve

ROOT = Path(__file__).resolve().parent.parent
TABLE = re.compile(r"(<!-- reference: (\w+) -->\n)(.*?)(\n<!-- end -->)", re.DOTALL)
LEVELS = {"info", "warning", "error"}
HELP_WIDTH = 100


def with_tables(markdown: str) -> str:
    """Bring the tables of a page up to date."""
    return TABLE.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}{match[4]}", markdown)


def settings() -> str:
    """List every key of the configuration, its type and meaning."""
    from daemon.config import Config
    from daemon.feedback.settings import FeedbackSettings
    from selfstorm.simulation.scene import Scene

    kinds = (options for kind in KINDS.values() for options in kind.options)
    models = [
        *_sections("", Config),
        *((f"source.{options.name}", resolve(options.model)) for options in kinds if options.name != "simulate"),
    ]
    pages = [_section("Top level" if not path else f"`[{path}]`", model, _keys(model)) for path, model in models]
    pages.append(_section("`[source.simulate]`", Scene, _scene_keys()))
    pages.append(_section("The file of `selfstorm-daemon hold-density`", FeedbackSettings, _keys(FeedbackSettings)))
    return "\n\n".join(pages)


def _sections(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        if submodel := _submodel(field):
            yield from _sections(f"{path}.{name}".lstrip("."), submodel)


def _section(title: str, model: type, keys: Iterator[tuple[str, str, str]]) -> str:
    """Write one section; its keys are (name, type, default)."""
    text, meanings = _documented(model)
    rows = [f"| `{name}` | {kind} | {default} | {meanings[name]} |" for name, kind, default in keys]
    return "\n".join([f"## {title}\n", f"{text}\n", "| key | type | default | meaning |", "|---|---|---|---|", *rows])


def _documented(model: type) -> tuple[str, dict[str, str]]:
    """Return the text of a class, and the meanings of its attributes."""
    parts = {part.kind.value: part.value for part in griffe.parse_google(griffe.Docstring(inspect.getdoc(model) or ""))}
    meanings = {one.name: _upper_first(" ".join(one.description.split())) for one in parts["attributes"]}
    return _upper_first(parts["text"].split("]: ")[-1]), meanings


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        if _submodel(field) is None:
            yield name, _type_text(field), _default_text(field)


def _scene_keys() -> Iterator[tuple[str, str, str]]:
    from selfstorm.simulation.scene import Scene

    kinds = typing.get_type_hints(Scene)
    for field in dataclasses.fields(Scene):
        yield field.name, _plain(kinds[field.name]), _shown(field.default)


def _submodel(field: FieldInfo) -> type[BaseModel] | None:
    options = typing.get_args(field.annotation) or (field.annotation,)
    return next((kind for kind in options if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _type_text(field: FieldInfo) -> str:
    if isinstance(field.json_schema_extra, dict) and isinstance(choices := field.json_schema_extra.get("enum"), list):
        return " or ".join(f"`{choice}`" for choice in choices)
    return ", ".join([_plain(field.annotation), *_bounds(field.metadata)])


def _bounds(limits: list[Any]) -> list[str]:
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
    return [f"{sign} {getattr(limit, name)}" for limit in limits for name, sign in signs if hasattr(limit, name)]


def _plain(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        kind, *extras = typing.get_args(annotation)
        return ", ".join([_plain(kind), *(bound for one in extras for bound in _bounds(getattr(one, "metadata", [])))])
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{choice}`" for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(_plain(kind) for kind in typing.get_args(annotation) if kind is not type(None))
    return str(getattr(annotation, "__name__", annotation)).replace("|", "\\|")


def _default_text(field: FieldInfo) -> str:
    return "required" if field.is_required() else _shown(field.get_default(call_default_factory=True))


def _shown(default: Any) -> str:
    return "–" if default is None else f"`{default}`"


def sources() -> str:
    """List every kind of source and what it can lose."""
    rows = ["| source | frames wait on disk | what it can lose |", "|---|---|---|"]
    for kind in KINDS.values():
        rows.append(f"| `{kind.usage}` | {'yes' if kind.stored else 'no'} | {kind.loss.sentence.format(count='N')} |")
    return "\n".join(rows)


def metrics() -> str:
    """List every metric with its thresholds and sentences."""
    from selfstorm.metrics.registry import METRICS

    rows = ["| metric | key | warning | bad | what it is | what to do |", "|---|---|---|---|---|---|"]
    for metric in METRICS:
        limits = ("–" if limit is None else metric.text(limit) for limit in (metric.warn, metric.bad))
        rows.append(f"| {metric.label} | `{metric.key}` | {' | '.join(limits)} | {metric.meaning} | {metric.hint} |")
    return "\n".join(rows)


def events() -> str:
    """List every event that the daemon can report: code, level and text."""
    found = {entry for path in sorted((ROOT / "daemon").rglob("*.py")) for entry in _events_in(path)}
    rows = ["| event | level | text |", "|---|---|---|"]
    return "\n".join([*rows, *(f"| `{code}` | {level} | {text} |" for code, level, text in sorted(found))])


def _events_in(path: Path) -> Iterator[tuple[str, str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or len(node.args) < 3:
            continue
        level, code, text = node.args[:3]
        constants = isinstance(level, ast.Constant) and isinstance(code, ast.Constant)
        if constants and level.value in LEVELS and isinstance(code.value, str):
            yield code.value, level.value, _text_of(text)


def _text_of(node: ast.expr) -> str:
    """Write a text as in the source, with values as an ellipsis."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return "…"


def command_line() -> str:
    """Write out the help of every command."""
    from daemon.cli import cli as daemon
    from selfstorm.cli import cli as offline

    programs = {"selfstorm": offline, "selfstorm-daemon": daemon}
    return "\n\n".join(page for name, group in programs.items() for page in _help_of(name, group, None))


def _help_of(name: str, command: click.Command, parent: click.Context | None) -> Iterator[str]:
    """Write the help of a command, and below a group that of its commands."""
    context = command.make_context(name, [], parent, resilient_parsing=True, terminal_width=HELP_WIDTH)
    text = context.command.get_help(context)
    yield f"{'##' if parent is None else '###'} {context.command_path}\n\n```text\n{text}\n```"
    if isinstance(command, click.Group):
        for below in sorted(command.commands):
            yield from _help_of(below, command.commands[below], context)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "sources": sources,
    "metrics": metrics,
    "events": events,
    "command_line": command_line,
}

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "reference"
    for path in sorted(folder.glob("*.md")):
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
