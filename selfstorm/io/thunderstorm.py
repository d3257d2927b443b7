"""Localizations as ThunderSTORM's CSV, which most programs read.

Ovesny et al., ThunderSTORM: a comprehensive ImageJ plug-in, Bioinformatics 30, 2389 (2014). Frames count from 1;
positions are nm from the corner of the first camera pixel.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selfstorm.errors import InputError
from selfstorm.io.atomic_files import check_new, claim_temporary, publish
from selfstorm.io.localization_table import GROWING, LocalizationTable, TableInfo, TableWriter

COLUMNS = (
    "id",
    "frame",
    "x [nm]",
    "y [nm]",
    "sigma [nm]",
    "intensity [photon]",
    "offset [photon]",
    "bkgstd [photon]",
    "uncertainty [nm]",
)
FRAMES = "detections"  # the name that ThunderSTORM's own merging gives the column
_ROW = "%d,%d,%.2f,%.2f,%.1f,%.1f,%.2f,%.2f,%.2f\n"


class ThunderstormWriter(TableWriter):
    """Writer of localizations, window by window; a context manager.

    It writes to NAME.part, which close() renames to NAME. After an exception in its block the file stays NAME.part, so
    that a file called NAME is complete.
    """

    def __init__(self, path: Path, info: TableInfo, *, overwrite: bool = False) -> None:
        self.path, self._overwrite = path, overwrite
        check_new(path, overwrite=overwrite)
        self.part = claim_temporary(path)
        self.rows, self.frames = 0, info.frames
        names = (*COLUMNS, FRAMES) if info.linked else COLUMNS
        try:
            self._file = self.part.open("w", encoding="utf-8", newline="")
            self._file.write(",".join(f'"{name}"' for name in names) + "\n")
        except OSError as fault:
            raise _unreachable(self.part, "written", fault) from fault

    def append(self, table: LocalizationTable) -> None:
        """Append rows and flush them to the file."""
        columns = (table.frame + 1, table.x_nm, table.y_nm, table.sigma_nm, table.photons)
        values = [column.tolist() for column in (*columns, table.background_photons, table.background_sd, table.sd_nm)]
        lines = [_ROW % (number, *row) for number, row in enumerate(zip(*values, strict=True), start=self.rows + 1)]
        if table.frames is not None:
            lines = [f"{line[:-1]},{frames}\n" for line, frames in zip(lines, table.frames.tolist(), strict=True)]
        lines = [line.replace("nan", "NaN").replace("inf", "Infinity") for line in lines]  # as Java reads them
        try:
            self._file.writelines(lines)
            self._file.flush()
        except OSError as fault:
            raise _unreachable(self.part, "written", fault) from fault
        self.rows += len(lines)

    def close(self) -> None:
        """Complete the file and give it its name; may be called more than once."""
        if self._file.closed:
            return
        try:
            self._file.close()
        except OSError as fault:
            raise _unreachable(self.path, "written", fault) from fault
        publish(self.part, self.path, overwrite=self._overwrite)

    def abandon(self) -> None:
        """Keep what was written as NAME.part."""
        self._file.close()


def read_thunderstorm_table(path: Path) -> LocalizationTable:
    """Read a table of ThunderSTORM's.

    Raises InputError naming the faulty file and line.
    """
    _, frame, x, y, sigma, photons, offset, noise, sd, *frames = read_thunderstorm(path).T
    linked_from = _whole(frames[0]) if frames else None
    return LocalizationTable(_whole(frame) - 1, x, y, sigma, photons, offset, noise, sd, sd, linked_from)


def _whole(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Convert frame numbers; what is none becomes -1."""
    return np.where((numbers >= 0) & (numbers < 2**53), numbers, -1).astype(np.int64)


def read_thunderstorm(path: Path | str) -> NDArray[np.float64]:
    """Read (N, 9) float64 in the order of COLUMNS, N >= 0.

    (N, 10) where the localizations are linked: the last column is `FRAMES`. The last line of a killed run's NAME.part
    is left out where it is not whole.

    Raises InputError naming the faulty file and line.
    """
    path = Path(path)
    rows: list[list[float]] = []
    columns: tuple[str, ...] = COLUMNS
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            growing = GROWING.search(path.name) is not None
            lines = csv.reader(line for line in file if not growing or line.endswith("\n"))
            header = next(lines, [])
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise InputError(f"no column {', '.join(missing)}", where=f"{path}, line 1", hint="give all of them")
            columns = (*COLUMNS, *({FRAMES} & set(header)))
            places = [header.index(name) for name in columns]
            for line in lines:
                try:
                    rows.append([float(line[place]) for place in places])
                except (ValueError, IndexError) as fault:
                    raise InputError("not a row of numbers", where=f"{path}, line {lines.line_num}") from fault
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise _unreachable(path, "read", fault) from fault
    return np.array(rows, np.float64).reshape(-1, len(columns))


def _unreachable(path: Path, done: str, fault: Exception) -> InputError:
    reason = getattr(fault, "strerror", None) or str(fault)
    return InputError(f"cannot be {done} ({reason})", where=path, hint="check the name, the folder and its permissions")
