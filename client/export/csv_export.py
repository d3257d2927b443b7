"""CSV tables of measurements.

Comment lines say which picture was measured. Pure but for `save_text`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from selfstorm.errors import InputError


def csv_text(facts: Mapping[str, object], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a table.

    Args:
        facts: What was measured on, one comment line each, `# name: value`.
        columns: Names of the columns, with their units.
        rows: Values; None is an empty cell.
    """
    text = io.StringIO()
    for name, value in facts.items():
        text.write(f"# {name}: {' '.join(str(value).split())}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return f"{value:.7g}" if isinstance(value, float) else value


def save_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        InputError: The file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", where=path, hint="choose another place") from None
