"""Generate reference pages from the code while the documentation is built.

A hook of mkdocs (see mkdocs.yml). A line `<!-- reference: NAME -->` in a page is replaced by the table of that name,
and with it the line below, which tells readers of the file where the table is, or all until `<!-- end -->`: short
tables are kept in the file too. `python tools/docs_reference.py` writes these.
"""

from __future__ import annotations

import ast
import re
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = re.compile(r"<!-- reference: (\w+) -->\n\*\(made from the code .*\)\*")
KEPT = re.compile(r"(<!-- reference: (\w+) -->\n)(.*?)(\n<!-- end -->)", re.DOTALL)
LEVELS = {"info", "warning", "error"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the generated tables of one page; called by mkdocs."""
    return PLACEHOLDER.sub(lambda match: TABLES[match[1]](), with_kept_tables(markdown))


def with_kept_tables(markdown: str) -> str:
    """Bring the tables that a page keeps up to date."""
    return KEPT.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}{match[4]}", markdown)


def settings() -> str:
    """List every key of the configuration with its type, range and default."""
    from daemon.config import Config

    return "\n".join(_section("", Config))


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {f'`[{path}]`' if path else 'Top level'}\n"
    yield (model.__doc__ or "").replace("\n    ", "\n").strip() + "\n"
    plain = {name: field for name, field in model.model_fields.items() if _submodel(field) is None}
    if plain:
        yield "| key | type | default |\n|---|---|---|"
        yield from (f"| `{name}` | {_type_text(field)} | {_default_text(field)} |" for name, field in plain.items())
        yield ""
    for name, field in model.model_fields.items():
        if submodel := _submodel(field):
            yield from _section(f"{path}.{name}".lstrip("."), submodel)


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
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    return "–" if default is None else f"`{default}`"


def sources() -> str:
    """List every kind of source and what it can lose."""
    from daemon.sources.kinds import KINDS

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

    pages = []
    for name, group in (("selfstorm", offline), ("selfstorm-daemon", daemon)):
        pages.append(f"## {name}\n")
        for command in sorted(group.commands):
            context = click.Context(group.commands[command], info_name=f"{name} {command}")
            pages.append(f"### {name} {command}\n\n```text\n{group.commands[command].get_help(context)}\n```\n")
    return "\n".join(pages)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "sources": sources,
    "metrics": metrics,
    "events": events,
    "command_line": command_line,
}

if __name__ == "__main__":
    for path in sorted((ROOT / "docs" / "reference").glob("*.md")):
        path.write_text(with_kept_tables(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
