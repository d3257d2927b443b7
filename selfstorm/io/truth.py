"""Ground truth as CSV: one row per emitter and frame, `frame,y_nm,x_nm` and perhaps `photons`.

Frames count from 0; positions are nm from the top-left corner of the first camera pixel. A name that ends in
.gz is compressed.
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

NEEDED = ("frame", "y_nm", "x_nm")
COLUMNS = (*NEEDED, "photons")
MAX_FRAME = 2**53
_HEADER_MEND = f"let the first line be {','.join(NEEDED)}, with photons after it if known"
_LINE_MEND = "mend or delete the line: frame is a whole number from 0, positions are nanometres"


class TruthWriter:
    """Appends emitters to a CSV file as the frames come. A context manager; the header is written at once.

    Positions are kept to 1e-3 nm, photons to 1e-2. photons: whether there is such a column.
    """

    def __init__(self, path: Path | str, *, photons: bool = True) -> None:
        self.path = Path(path)
        self._columns = len(COLUMNS) if photons else len(NEEDED)
        self._format = ",".join(["%d", "%.3f", "%.3f", "%.2f"][: self._columns]) + "\n"
        try:
            self._file = _open(self.path, "wt")
            self._file.write(",".join(COLUMNS[: self._columns]) + "\n")
        except OSError as fault:
            raise _unreachable(self.path, "written", fault) from fault

    def append(self, emitters: NDArray[Any]) -> None:
        """Write emitters (N, 3 or more): frame, y_nm, x_nm, photons. Those without a column are left out."""
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
        """Finish the file; more than once does no harm."""
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
    """Read a truth file: (N, 3) float64 frame, y_nm, x_nm, or (N, 4) where it has photons; N >= 1.

    The columns are found by name, in any order, among any others. Raises InputError naming the file and the
    line where it cannot be read, lacks a column, holds something else than numbers, or holds no emitter.
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
    """Where the known columns are, in the order of COLUMNS."""
    if not header.strip():
        raise InputError("the file is empty or starts with an empty line", where=path, hint=_HEADER_MEND)
    names = _values(header)
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise InputError(
            f"no column {', '.join(missing)} among {', '.join(names)[:200]}",
            where=f"{path}, line 1",
            hint=_HEADER_MEND,
        )
    return [names.index(name) for name in COLUMNS if name in names]


def _bad_line(path: Path, text: str, columns: list[int]) -> InputError:
    """The first line that is no emitter, as an error."""
    for number, line in enumerate(text.split("\n"), start=1):
        if number > 1 and line and (fault := _fault(_values(line), columns)):
            return InputError(fault, where=f"{path}, line {number}", hint=_LINE_MEND)
    return InputError("not a table of numbers", where=path, hint=_LINE_MEND)


def _values(line: str) -> list[str]:
    return [value.strip().strip('"') for value in line.split(",")]


def _are_frames(values: NDArray[np.float64]) -> bool:
    return bool(((values >= 0) & (values < MAX_FRAME) & (values == np.floor(values))).all())


def _fault(row: list[str], columns: list[int]) -> str:
    """What is wrong with a row; empty where nothing is."""
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
    """The file as text; whatever prevents its being read is an InputError."""
    try:
        with _open(path, "rt", "utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as fault:
        raise InputError("not a text file", where=path, hint=_HEADER_MEND) from fault
    except (OSError, EOFError, zlib.error) as fault:
        raise _unreachable(path, "read", fault) from fault


def _unreachable(path: Path, done: str, fault: Exception) -> InputError:
    reason = getattr(fault, "strerror", None) or str(fault)
    return InputError(f"cannot be {done} ({reason})", where=path, hint="check the name, the folder and the rights")
