"""Folder for the results of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from selfstorm.io.atomic_files import check_outputs, make_folder


def prepare_output(
    output: Path, stem: str, *inputs: Path, endings: Sequence[str] = ("json", "md", "png"), overwrite: bool
) -> None:
    """Create the output folder, before anything is measured.

    Args:
        output: the folder.
        stem: name of the files, without their endings.
        inputs: files that are read, and must not be replaced.
        endings: of the files.
        overwrite: whether the files of an earlier run may be replaced.

    Raises:
        InputError: the files cannot be written.
    """
    make_folder(output, "choose another -o")
    check_outputs({f"-o {output}, {end}": output / f"{stem}.{end}" for end in endings}, inputs, overwrite=overwrite)
