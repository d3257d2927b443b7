"""Choice of the movie among the axes of a many-dimensional recording."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from selfstorm.errors import MovieError

AxisPosition = int | str
Selection = Mapping[str, AxisPosition]


def movie_axis(axes: Sequence[tuple[str, int]], select: Selection, where: object) -> tuple[int | slice, ...]:
    """Make an index that leaves one axis: the movie.

    Args:
        axes: (name, size) of all but the two of a frame.
        select: index on each axis that is wider than one and not the movie.
        where: the file, for errors.

    Raises:
        MovieError: no axis is left, or more than one; it lists them.
    """
    check_names([name for name, _ in axes], select, where)
    index: list[int | slice] = []
    for name, size in axes:
        chosen = select.get(name)
        if chosen is None:
            index.append(slice(None) if size > 1 else 0)
        elif isinstance(chosen, int) and 0 <= chosen < size:
            index.append(chosen)
        else:
            raise MovieError(f"has no {name} {chosen!r}", where=where, hint=f"{name} goes from 0 to {size - 1}")
    left = [(name, size, 0) for (name, size), at in zip(axes, index, strict=True) if isinstance(at, slice)]
    if not left:
        raise MovieError("is one image", where=where, hint="give a movie: many frames of one field")
    if len(left) > 1:
        raise several_axes(left, where)
    return tuple(index)


def several_axes(axes: Sequence[tuple[str, object, AxisPosition]], where: object) -> MovieError:
    """Make the error for a recording with more axes than a movie.

    Args:
        axes: name of each, how many positions or which it has, and one that is there, which the hint names.
        where: the file.
    """
    listed = ", ".join(f"{name} ({positions})" for name, positions, _ in axes)
    name, at = next(((name, at) for name, _, at in axes if name != "time"), (axes[-1][0], axes[-1][2]))
    return MovieError(
        f"has more than time besides its two sides: {listed}",
        where=where,
        hint=f"select one of all but one: 'select = {{ {name} = {json.dumps(at)} }}' under [source], "
        f"or --select {name}={at}",
    )


def check_names(names: Sequence[str], select: Selection, where: object) -> None:
    """Raise MovieError where an axis is selected that is not there."""
    for name in select:
        if name not in names:
            raise MovieError(f"has no axis '{name}'", where=where, hint=f"its axes: {', '.join(names) or 'none'}")
