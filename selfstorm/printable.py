"""Text from outside (device names, notes, errors), made safe to print."""

from __future__ import annotations

MAX_CHARACTERS = 2048  # of a text on the wire


def printable(text: object, limit: int = MAX_CHARACTERS) -> str:
    r"""Escape unprintable characters, and shorten to `limit` characters.

    A line break, a terminal's escape sequence or half a character become visible ("\n", "\x1b"): they can neither
    forge a line of a log nor fail to be encoded.
    """
    line = str(text)[: limit + 1]
    if not line.isprintable():
        line = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in line)
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
