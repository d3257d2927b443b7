"""Tables of localizations, whatever their file format.

Columns, and writers chosen by the file's ending.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.errors import InputError
from selfstorm.io.atomic_files import GrowingFile, free_path
from selfstorm.io.regular_file import check_regular

if TYPE_CHECKING:
    from selfstorm.localizations import Localizations
    from selfstorm.psf.models import Psf

Floats = NDArray[np.float64]
MAX_NM = 1e9  # of a position; no stage is wider


@dataclass(frozen=True, slots=True)
class LocalizationTable:
    """N localizations as columns (N,).

    frame: from 0. x_nm, y_nm: from the corner of the first camera pixel. sigma_nm: width of the PSF. photons: of the
    emitter. background_photons: per camera pixel; background_sd: its standard deviation. sd_x_nm, sd_y_nm: precision.
    frames: how many localizations an emitter was linked from; None where they are not linked.
    """

    frame: NDArray[np.int64]
    x_nm: Floats
    y_nm: Floats
    sigma_nm: Floats
    photons: Floats
    background_photons: Floats
    background_sd: Floats
    sd_x_nm: Floats
    sd_y_nm: Floats
    frames: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def sd_nm(self) -> Floats:
        """Precision as one number: root mean square of x and y."""
        mean: Floats = np.sqrt((self.sd_x_nm**2 + self.sd_y_nm**2) / 2)
        return mean

    @classmethod
    def of(cls, found: Localizations, psf: Psf) -> LocalizationTable:
        """Make the table of a window's localizations."""

        def column(values: Any) -> Floats:
            return np.asarray(values.double().cpu().numpy(), np.float64)

        return cls(
            np.asarray(found.frame.cpu().numpy(), np.int64),
            column(found.x_nm),
            column(found.y_nm),
            np.full(len(found), float(psf.equivalent_sigma_nm)),
            column(found.photons),
            column(found.background_photons),
            column(found.background_sd),
            column(found.sd_nm[:, 1]),
            column(found.sd_nm[:, 0]),
        )

    def rows(self, start: int, stop: int) -> LocalizationTable:
        """Return a part of the rows."""
        return self.at(slice(start, stop))

    def at(self, chosen: slice | NDArray[np.int64]) -> LocalizationTable:
        """Return the rows at these indices, in their order."""
        columns: Iterator[Any] = (getattr(self, column.name) for column in fields(self))
        parts: list[Any] = [None if column is None else column[chosen] for column in columns]
        return LocalizationTable(*parts)


@dataclass(frozen=True, slots=True)
class TableInfo:
    """Movie that a table belongs to; some formats are useless without it.

    height, width: camera pixels. facts: whatever else is known of how the table was made, as JSON. linked: its rows
    have the column `frames`.
    """

    height: int
    width: int
    pixel_nm: float
    frames: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    linked: bool = False


class TableWriter(GrowingFile):
    """A table that grows window by window.

    Attributes:
        rows: written so far.
        frames: of the movie; whoever writes while it is still recorded raises this before each part.
    """

    rows: int
    frames: int

    @abstractmethod
    def append(self, table: LocalizationTable) -> None:
        """Append rows, on disk when this returns."""


FORMATS = (".csv", ".hdf5", ".smlm")
GROWING = re.compile(r"(\.\d+)?\.part$")  # the end of a name that a killed run left


def format_of(path: Path) -> str:
    """Return a table's ending; a killed run's NAME.csv.part is .csv."""
    return Path(GROWING.sub("", path.name)).suffix.lower()


def check_format(path: Path) -> None:
    """Raise InputError where no table has that ending."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"'{path.suffix}' is not a format of localizations",
            where=path,
            hint="name it .csv (ThunderSTORM), .hdf5 (Picasso) or .smlm (SMLM file format)",
        )


def side_files(path: Path) -> tuple[Path, ...]:
    """List the files that are written beside a table."""
    return (path.with_suffix(".yaml"),) if path.suffix.lower() == ".hdf5" else ()


def free_table_path(path: Path) -> Path:
    """Return the path, with a number where it or a file beside it is taken."""
    return free_path(path, beside=side_files)


def table_writer(path: Path, info: TableInfo, *, overwrite: bool = False) -> TableWriter:
    """Open the writer for a file's ending.

    Raises InputError where it cannot be written.
    """
    check_format(path)
    suffix = path.suffix.lower()
    if suffix == ".hdf5":
        from selfstorm.io.picasso import PicassoWriter

        return PicassoWriter(path, info, overwrite=overwrite)
    if suffix == ".smlm":
        from selfstorm.io.smlm import SmlmWriter

        return SmlmWriter(path, info, overwrite=overwrite)
    from selfstorm.io.thunderstorm import ThunderstormWriter

    return ThunderstormWriter(path, info, overwrite=overwrite)


def read_table(path: Path) -> tuple[LocalizationTable, TableInfo | None]:
    """Read a table of any format, and what it says of its movie.

    NAME.part of a run that was killed is read as far as its last whole row.

    Raises InputError.
    """
    suffix = format_of(path)
    check_format(path.with_suffix(suffix))
    check_regular(path, "give a table of localizations")
    found: tuple[LocalizationTable, TableInfo | None]
    if suffix == ".hdf5":
        from selfstorm.io.picasso import read_picasso

        found = read_picasso(path)
    elif suffix == ".smlm":
        from selfstorm.io.smlm import read_smlm

        found = read_smlm(path)
    else:
        from selfstorm.io.thunderstorm import read_thunderstorm_table

        found = read_thunderstorm_table(path), None
    _check_places(found[0], path)
    return found


def _check_places(table: LocalizationTable, path: Path) -> None:
    """Raise InputError where localizations lie nowhere."""
    nowhere = ~((np.abs(table.y_nm) <= MAX_NM) & (np.abs(table.x_nm) <= MAX_NM) & (table.frame >= -1))
    if nowhere.any():
        how_many = f"{int(nowhere.sum())} of {len(table)} rows"
        raise InputError(
            f"row {int(np.argmax(nowhere)) + 1} has no frame or no position ({how_many})",
            where=path,
            hint="remove the rows with NaN, inf or a negative frame",
        )
