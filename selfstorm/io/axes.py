"""Which axis of a many-dimensional recording is the movie, and which one picture of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from selfstorm.errors import MovieError

Place = int | str
Selection = Mapping[str, Place]


def movie_axis(axes: Sequence[tuple[str, int]], select: Selection, where: object) -> tuple[int | slice, ...]:
    """An index into all axes (name, size) but the frame's two that leaves one: the movie.

    select: the place on each axis that has more than one and is not the movie. Raises MovieError where none or more
    than one axis is left, listing them.
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
    left = [(name, size) for (name, size), at in zip(axes, index, strict=True) if isinstance(at, slice)]
    if not left:
        raise MovieError("is one image", where=where, hint="give a movie: many frames of one field")
    if len(left) > 1:
        raise several(left, where)
    return tuple(index)


def several(axes: Sequence[tuple[str, object]], where: object) -> MovieError:
    """The error for a recording with more axes than a movie has."""
    listed = ", ".join(f"{name} ({size})" for name, size in axes)
    return MovieError(
        f"has more than time besides its two sides: {listed}",
        where=where,
        hint="select one of all but one: 'select = { channel = 0 }' under [source], or --select channel=0",
    )


def check_names(names: Sequence[str], select: Selection, where: object) -> None:
    """Raises MovieError where an axis is selected that is not there."""
    for name in select:
        if name not in names:
            raise MovieError(f"has no axis '{name}'", where=where, hint=f"its axes: {', '.join(names) or 'none'}")
