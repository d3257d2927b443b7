"""Ground truth as CSV: one row per emitter and frame.

The columns are `frame,y_nm,x_nm` and optionally `photons`.
Frames count from 0; positions are nm from the top-left corner of the first camera pixel. A file whose name ends
in .gz is compressed.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.errors import InputError
from selfstorm.io.regular_file import check_regular

REQUIRED = ("frame", "y_nm", "x_nm")
COLUMNS = (*REQUIRED, "photons")
MAX_FRAME = 2**53
_HEADER_HINT = f"the first line should be {','.join(REQUIRED)}, with photons after it if known"
_LINE_HINT = "correct or delete the line: frame is a whole number from 0, positions are in nanometres"


class TruthWriter:
    """Writer of emitters to a CSV file, frame by frame; a context manager.

    Positions are rounded to 1e-3 nm, photons to 1e-2. photons: whether to write that column.
    """

    def __init__(self, path: Path | str, *, photons: bool = True) -> None:
        self.path = Path(path)
        self._columns = len(COLUMNS) if photons else len(REQUIRED)
        self._format = ",".join(["%d", "%.3f", "%.3f", "%.2f"][: self._columns]) + "\n"
        try:
            self._file = _open(self.path, "wt")
            self._file.write(",".join(COLUMNS[: self._columns]) + "\n")
        except OSError as fault:
            raise _unreachable(self.path, "written", fault) from fault

    def append(self, emitters: NDArray[Any]) -> None:
        """Append emitters (N, 3 or 4): frame, y_nm, x_nm, photons.

        Values without a column are not written.
        """
        if emitters.ndim != 2 or emitters.shape[1] < self._columns:
            raise InputError(
                f"emitters of shape {emitters.shape}",
                where=self.path,
                hint=f"give rows of {', '.join(COLUMNS[: self._columns])}",
            )
        try:
            self._file.writelines(self._format % tuple(row) for row in emitters[:, : self._columns].tolist())
        except OSError as fault:
            raise _unreachable(self.path, "written", fault) from fault

    def close(self) -> None:
        """Complete the file; may be called more than once."""
        self._file.close()

    def __enter__(self) -> TruthWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_truth(path: Path | str) -> NDArray[np.float64]:
    """Read a truth file.

    Columns are found by name, in any order, among any others.

    Returns:
        (N, 3) float64 frame, y_nm, x_nm, or (N, 4) where it has photons; N >= 1.

    Raises:
        InputError: naming the file and line that cannot be read, lacks a column, or is not numbers; or there is no
            emitter.
    """
    path = Path(path)
    with _reading(path) as file:
        text = file.read()
    header, _, body = text.partition("\n")
    columns = _columns(path, header)
    if not body.strip():
        raise InputError("no emitters", where=path, hint="give a file with one row per emitter and frame")
    try:
        table = np.loadtxt(StringIO(body), delimiter=",", usecols=columns, comments=None, quotechar='"', ndmin=2)
    except ValueError as fault:
        raise _bad_line(path, text, columns) from fault
    if not np.isfinite(table).all() or not _are_frames(table[:, 0]):
        raise _bad_line(path, text, columns)
    return table


def _columns(path: Path, header: str) -> list[int]:
    """Find the known columns, in the order of COLUMNS."""
    if not header.strip():
        raise InputError("the file is empty or starts with an empty line", where=path, hint=_HEADER_HINT)
    names = _values(header)
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"no column {', '.join(missing)} among {', '.join(names)[:200]}",
            where=f"{path}, line 1",
            hint=_HEADER_HINT,
        )
    return [names.index(name) for name in COLUMNS if name in names]


def _bad_line(path: Path, text: str, columns: list[int]) -> InputError:
    """Make the error for the first line that is not an emitter."""
    for number, line in enumerate(text.split("\n"), start=1):
        if number > 1 and line and (fault := _fault(_values(line), columns)):
            return InputError(fault, where=f"{path}, line {number}", hint=_LINE_HINT)
    return InputError("not a table of numbers", where=path, hint=_LINE_HINT)


def _values(line: str) -> list[str]:
    return [value.strip().strip('"') for value in line.split(",")]


def _are_frames(values: NDArray[np.float64]) -> bool:
    return bool(((values >= 0) & (values < MAX_FRAME) & (values == np.floor(values))).all())


def _fault(row: list[str], columns: list[int]) -> str:
    """Describe the fault of a row; empty where there is none."""
    for name, column in zip(COLUMNS, columns, strict=False):
        if column >= len(row):
            return f"only {len(row)} values, none for {name}"
        try:
            value = float(row[column])
        except ValueError:
            return f"{name} is {row[column]!r}, not a number"
        if not math.isfinite(value) or (name == "frame" and not _are_frames(np.array([value]))):
            return f"{name} cannot be {row[column].strip()}"
    return ""


def _open(path: Path, mode: str, encoding: str = "utf-8") -> IO[str]:
    opener: Any = gzip.open if path.suffix == ".gz" else Path.open
    newline = "\n" if mode == "wt" else None
    file: IO[str] = opener(path, mode, encoding=encoding, newline=newline)
    return file


@contextmanager
def _reading(path: Path) -> Iterator[IO[str]]:
    """Open a file as text; raise InputError for whatever prevents reading it."""
    check_regular(path, _HEADER_HINT)
    try:
        with _open(path, "rt", "utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as fault:
        raise InputError("not a text file", where=path, hint=_HEADER_HINT) from fault
    except (OSError, EOFError, zlib.error) as fault:
        raise _unreachable(path, "read", fault) from fault


def _unreachable(path: Path, done: str, fault: Exception) -> InputError:
    reason = getattr(fault, "strerror", None) or str(fault)
    return InputError(f"cannot be {done} ({reason})", where=path, hint="check the name, the folder and its permissions")
