"""First fault of bytes from outside, in one clause."""

from __future__ import annotations

from pydantic import ValidationError


def first_fault(error: ValidationError) -> str:
    """Describe the first fault and its place.

    Never the value itself, which may be a secret.
    """
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    why = str(fault["msg"]).removeprefix("Value error, ")
    return f"{place}: {why}" if place else why
