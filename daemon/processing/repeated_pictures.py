"""Pictures of a repeated run on disk: `replay-run --save`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from daemon.processing.replay import Repeated
from selfstorm.io.atomic_files import free_path
from selfstorm.io.ome_tiff import OmeTiffWriter


class RepeatedPictures:
    """Writer of a repeated run's pictures, in files as the run's own.

    Args:
        path: OUT.ome.tif; OUT-2.ome.tif follows when the size of pictures or pixels changes.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._open = path, ExitStack()
        self._writer: OmeTiffWriter | None = None
        self._size: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def add(self, again: Repeated) -> None:
        """Append the picture of one window."""
        size = (again.result.picture.shape, again.pixel_nm)
        if self._writer is None or size != self._size:
            self._open.close()
            self._writer = self._open.enter_context(OmeTiffWriter(free_path(self._path), again.pixel_nm))
            self._size = size
        self._writer.add(again.result.picture, {"window": again.line.index})
