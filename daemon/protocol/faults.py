"""Faults of bytes and texts from outside, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

PLAIN = {
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "finite_number": "must be a finite number",
    "missing": "is missing",
    "extra_forbidden": "is not known",
} | {
    kind: words
    for words, kinds in {
        "must be a whole number": ("int_type", "int_parsing", "int_from_float"),
        "must be a number": ("float_type", "float_parsing"),
        "must be true or false": ("bool_type", "bool_parsing"),
        "must be text": ("string_type", "path_type"),
        "must be a section": ("model_type", "model_attributes_type", "dict_type"),
        "must be a list": ("tuple_type", "list_type"),
    }.items()
    for kind in kinds
}


def plain(fault: Mapping[str, Any]) -> str:
    """Describe a fault without its place: 'must be at least 8'."""
    if words := PLAIN.get(fault["type"]):
        return words.format(**fault.get("ctx", {}))
    why = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should ")
    return why if fault["type"] == "value_error" else f"{why[0].lower()}{why[1:]}"


def first_fault(error: ValidationError) -> str:
    """Describe the first fault and its place.

    Never the value itself, which may be a secret.
    """
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    why = plain(fault)
    return f"{place}: {why}" if place else why
