"""Pictures on disk (--save): an OME-TIFF that grows window by window."""

from __future__ import annotations

from pathlib import Path

from daemon.health import Health
from daemon.processing.sinks import WindowOutput
from daemon.recording.output_file import OutputFile
from selfstorm.errors import InputError
from selfstorm.io.atomic_files import free_path
from selfstorm.io.ome_tiff import OmeTiffWriter


class PictureWriter(OutputFile[OmeTiffWriter]):
    """Writer of one file for each size of picture.

    OUT-2.ome.tif follows when the camera's field changes.

    Args:
        path: OUT.ome.tif.
        health: takes the path of the open file, and events.
    """

    name, content = "saving", "pictures"

    def __init__(self, path: Path, health: Health) -> None:
        super().__init__(path, health)
        self._shape: tuple[int, ...] = ()

    def result(self, output: WindowOutput) -> None:
        """Append the picture with its header."""
        if self._failed:
            return
        header, picture = output.header, output.picture
        try:
            if self._writer is None or picture.shape != self._shape:
                self._close_file()
                self._writer, self._shape = OmeTiffWriter(self._next_path(), header.pixel_nm), picture.shape
            self._writer.add(picture, header.model_dump(mode="json", exclude={"shape", "dtype"}))
        except (OSError, InputError) as error:
            self._give_up(error)

    def _free_path(self) -> Path:
        return free_path(self._path)
