"""Find what a run left, and read its evidence."""

from __future__ import annotations

from pathlib import Path

from selfstorm.errors import InputError
from selfstorm.io.picture_formats import WRITERS, read_records
from selfstorm.report.evidence import RunEvidence
from selfstorm.report.live_run import read_live_run
from selfstorm.report.manifest_file import SUFFIX
from selfstorm.report.saved_pictures import exists, read_saved_pictures

MAX_NAMED = 8  # files


def read_run(path: Path) -> RunEvidence:
    """Read what the files of a run say.

    Args:
        path: Of a manifest, a file of pictures, or a folder with one of them.

    Raises:
        InputError: it is none of these.
    """
    if not exists(path):
        raise InputError("no such file", where=path, hint="check the path")
    if path.is_dir() and not (path / "zarr.json").exists():
        path = _in_folder(path)
    return read_live_run(path) if path.name.endswith(SUFFIX) else read_saved_pictures(path)


def _in_folder(folder: Path) -> Path:
    """Find the one manifest of a folder, or its one file of pictures."""
    found = sorted(folder.glob(f"*{SUFFIX}")) or [file for file in _picture_files(folder) if read_records(file)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError("holds no manifest and no pictures of selfstorm", where=folder, hint="give the file itself")
    names = ", ".join(file.name for file in found[:MAX_NAMED])
    raise InputError(f"holds {len(found)} of them: {names}", where=folder, hint="give one of these files")


def _picture_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in WRITERS)
