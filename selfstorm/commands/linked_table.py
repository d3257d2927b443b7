"""Table of emitters, linked from the localizations of a movie."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from selfstorm.io.localization_table import LocalizationTable, TableWriter

BLOCK_ROWS = 100_000


class LinkedTable:
    """Localizations of a movie, linked when all are there.

    An emitter may go on into the next window, so that nothing is written before.

    Args:
        writer: Of the table, opened for linked rows.
        max_dark: Frames that an emitter may be dark.
    """

    def __init__(self, writer: TableWriter, max_dark: int) -> None:
        self._writer, self._max_dark = writer, max_dark
        self._tables: list[LocalizationTable] = []

    def append(self, table: LocalizationTable) -> None:
        """Add the localizations of new frames."""
        self._tables.append(table)

    def write(self) -> None:
        """Link and write them."""
        from selfstorm.stages.linking import linked

        if not self._tables:
            return
        emitters = linked(_joined(self._tables), self._max_dark)
        for start in range(0, len(emitters), BLOCK_ROWS):
            self._writer.append(emitters.rows(start, start + BLOCK_ROWS))


def _joined(tables: list[LocalizationTable]) -> LocalizationTable:
    names = [column.name for column in fields(LocalizationTable) if column.name != "frames"]
    columns: list[Any] = [np.concatenate([getattr(table, name) for table in tables]) for name in names]
    return LocalizationTable(*columns)
