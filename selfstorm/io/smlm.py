"""Localizations in the SMLM file format 0.2.

A ZIP file with a manifest and a binary table.
Ouyang et al., ShareLoc, Nature Methods 19, 1331 (2022); specification: imodpasteur/smlm-file-format. Frames count from
0; positions are nm from the corner of the first camera pixel.
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import InputError, first_line
from selfstorm.io.atomic_files import check_new, claim_temporary, publish
from selfstorm.io.localization_table import GROWING, LocalizationTable, TableInfo, TableWriter

TABLE, FORMAT = "table-0.bin", "smlm-table(binary)-0"
# Column, type, unit and the table's field; the first five are the specification's own.
COLUMNS = (
    ("frame", "uint32", "frame", "frame"),
    ("x", "float32", "nm", "x_nm"),
    ("y", "float32", "nm", "y_nm"),
    ("intensity", "float32", "photon", "photons"),
    ("background", "float32", "photon", "background_photons"),
    ("sigma", "float32", "nm", "sigma_nm"),
    ("uncertainty_x", "float32", "nm", "sd_x_nm"),
    ("uncertainty_y", "float32", "nm", "sd_y_nm"),
    ("background_sd", "float32", "photon", "background_sd"),
)
FRAMES = ("frames", "uint32", "frame", "frames")  # of linked tables
MAX_BYTES = 2**34
GROWING_MARK = b"selfstorm smlm rows 1 "  # opens NAME.part; the movie as JSON follows on that line, then the rows
MAX_LINE = 2**20


class SmlmWriter(TableWriter):
    """Writer of the SMLM file format.

    Rows grow in NAME.part behind a line on their movie, and are packed at the end.
    """

    def __init__(self, path: Path, info: TableInfo, *, overwrite: bool = False) -> None:
        check_new(path, overwrite=overwrite)
        self.path, self.part = path, claim_temporary(path)
        self._info, self._overwrite, self.rows, self.frames = info, overwrite, 0, info.frames
        self._file = self.part.open("wb")
        line = GROWING_MARK + json.dumps(asdict(info), default=str).encode() + b"\n"
        self._begin = self._file.write(line)
        self._file.flush()
        self._columns = _columns(linked=info.linked)
        self._low, self._high = np.full(len(self._columns), math.inf), np.full(len(self._columns), -math.inf)

    def append(self, table: LocalizationTable) -> None:
        """Append rows, on disk when this returns."""
        rows = np.empty(len(table), _dtype(self._columns))
        for name, _, _, source in self._columns:
            rows[name] = getattr(table, source)
        for number, (name, *_) in enumerate(self._columns):
            # a table that is converted may lack a column
            known = rows[name][np.isfinite(rows[name])].astype(np.float64)
            self._low[number] = known.min(initial=self._low[number])
            self._high[number] = known.max(initial=self._high[number])
        try:
            self._file.write(rows.tobytes())
            self._file.flush()
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", where=self.part) from None
        self.rows += len(rows)

    def close(self) -> None:
        """Pack the table with its manifest, and give the file its name."""
        self._file.close()
        packed = claim_temporary(self.path)
        try:
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("manifest.json", json.dumps(self._manifest(), indent=1, allow_nan=False))
                with self.part.open("rb") as rows, archive.open(TABLE, "w", force_zip64=True) as member:
                    rows.seek(self._begin)
                    shutil.copyfileobj(rows, member)
        except OSError as error:
            packed.unlink(missing_ok=True)
            raise InputError(f"cannot be written ({error.strerror})", where=self.path) from None
        publish(packed, self.path, overwrite=self._overwrite)
        self.part.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Keep what was written as NAME.part."""
        self._file.close()

    def _manifest(self) -> dict[str, Any]:
        columns = self._columns
        names = [name for name, *_ in columns]
        known = self._low <= self._high  # JSON has no number for what is unknown
        return {
            "format_version": "0.2",
            "name": self.path.stem,
            "description": json.dumps(dict(self._info.facts), default=str),
            "tags": ["SMLM"],
            "thumbnail": "",
            "sample": "",
            "labeling": "",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "author": f"selfstorm {version('selfstorm')}",
            "citation": "",
            "email": "",
            "formats": {
                FORMAT: {
                    "name": FORMAT,
                    "type": "table",
                    "mode": "binary",
                    "extension": ".bin",
                    "columns": len(columns),
                    "headers": names,
                    "dtype": [kind for _, kind, _, _ in columns],
                    "shape": [1] * len(columns),
                    "units": [unit for _, _, unit, _ in columns],
                    "description": "frames from 0; positions in nm from the corner of the first camera pixel",
                }
            },
            "files": [
                {
                    "name": TABLE,
                    "type": "table",
                    "format": FORMAT,
                    "channel": "default",
                    "rows": self.rows,
                    "offset": dict.fromkeys(names, 0),
                    "min": dict(zip(compress(names, known), self._low[known].tolist(), strict=True)),
                    "max": dict(zip(compress(names, known), self._high[known].tolist(), strict=True)),
                    "metadata": {
                        "pixel_nm": self._info.pixel_nm,
                        "height": self._info.height,
                        "width": self._info.width,
                        "frames": self.frames,
                        "linked": self._info.linked,
                    },
                }
            ],
        }


def read_smlm(path: Path) -> tuple[LocalizationTable, TableInfo | None]:
    """Read the first binary table of an SMLM file.

    Raises InputError where there is none.
    """
    if GROWING.search(path.name):
        return _read_growing(path)
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            file = next(one for one in manifest["files"] if one["type"] == "table")
            layout = manifest["formats"][file["format"]]
            dtype = np.dtype(
                [(n, np.dtype(k).newbyteorder("<")) for n, k in zip(layout["headers"], layout["dtype"], strict=True)]
            )
            if archive.getinfo(file["name"]).file_size > MAX_BYTES or layout["mode"] != "binary":
                raise ValueError("the table is too large, or text")
            rows = np.frombuffer(archive.read(file["name"]), dtype, int(file["rows"]))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, StopIteration) as error:
        raise InputError(f"is no SMLM file ({first_line(error)})", where=path, hint="give format version 0.2") from None

    stated = file.get("metadata", {})
    known = all(key in stated for key in ("height", "width", "pixel_nm", "frames"))
    if not known:
        return _table(rows), None
    size = stated["height"], stated["width"], stated["pixel_nm"], stated["frames"]
    return _table(rows), TableInfo(*size, linked=FRAMES[0] in (rows.dtype.names or ()))


def _read_growing(path: Path) -> tuple[LocalizationTable, TableInfo]:
    """Read the rows of a run that was killed, up to the last whole one."""
    try:
        with path.open("rb") as file:
            line = file.readline(MAX_LINE)
            info = TableInfo(**json.loads(line.removeprefix(GROWING_MARK)))
            content = file.read(MAX_BYTES)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"holds no rows of an SMLM file ({first_line(error)})", where=path) from None
    dtype = _dtype(_columns(linked=info.linked))
    rows = np.frombuffer(content, dtype, len(content) // dtype.itemsize)
    frames = int(rows["frame"].max()) + 1 if len(rows) else 0
    return _table(rows), replace(info, frames=max(info.frames, frames))


def _table(rows: Any) -> LocalizationTable:
    def column(name: str) -> Any:
        return rows[name].astype(np.float64) if name in (rows.dtype.names or ()) else np.full(len(rows), math.nan)

    columns = {source: column(name) for name, _, _, source in COLUMNS}
    columns["frame"] = columns["frame"].astype(np.int64)
    if FRAMES[0] in (rows.dtype.names or ()):
        columns["frames"] = rows[FRAMES[0]].astype(np.int64)
    return LocalizationTable(**columns)


def _columns(*, linked: bool) -> tuple[tuple[str, str, str, str], ...]:
    return (*COLUMNS, FRAMES) if linked else COLUMNS


def _dtype(columns: tuple[tuple[str, str, str, str], ...]) -> np.dtype[Any]:
    return np.dtype([(name, np.dtype(kind).newbyteorder("<")) for name, kind, _, _ in columns])
