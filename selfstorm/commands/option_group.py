"""Options of a command that arrive together, as one dataclass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from typing import Any

Command = Callable[..., Any]


def grouped_options(command: Command, name: str, group: type[Any], options: Sequence[Command]) -> Command:
    """Add options to a command.

    Args:
        command: receives them as the argument `name`.
        name: of that argument.
        group: dataclass with a field for each option.
        options: decorators of click, in the order of the help text.
    """

    @wraps(command)
    def with_group(**given: Any) -> Any:
        values = {field.name: given.pop(field.name) for field in fields(group)}
        return command(**{name: group(**values)}, **given)

    wrapped: Command = with_group
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped
