"""Open a picture in Fiji or napari, where they are installed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

FIJI_NAMES = ("fiji", "ImageJ-linux64", "ImageJ-win64", "fiji-linux-x64", "fiji-windows-x64", "ImageJ-macosx", "imagej")
FIJI_FOLDERS = ("Fiji.app", "Fiji", "fiji")
FIJI_VARIABLE = "FIJI"  # path of the program, where it is found nowhere else


def napari_command(file: Path) -> tuple[str, ...] | None:
    """Return the command that opens a file in napari.

    None where napari is not installed.
    """
    program = shutil.which("napari") or shutil.which("napari", path=str(Path(sys.executable).parent))
    return None if program is None else (program, str(file))


def fiji_command(file: Path, environment: Mapping[str, str], home: Path) -> tuple[str, ...] | None:
    """Return the command that opens a file in Fiji.

    None where Fiji is not found.

    Args:
        file: File to open.
        environment: Environment variables; FIJI may name the program.
        home: Folder in which Fiji is usually unpacked.
    """
    given = environment.get(FIJI_VARIABLE, "")
    if given and Path(given).is_file():
        return given, str(file)
    search = [environment.get("PATH", "")]
    roots = (home, home / "Applications", home / "Desktop", home / "Downloads", Path("/Applications"), Path("C:/"))
    search += [str(root / folder) for root in roots for folder in FIJI_FOLDERS]
    search += [str(root / folder / "Contents" / "MacOS") for root in roots for folder in FIJI_FOLDERS]
    for name in FIJI_NAMES:
        if program := shutil.which(name, path=os.pathsep.join(search)):
            return program, str(file)
    return None
