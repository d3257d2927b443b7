"""Picture files that grow page by page: --save and --accumulated."""

from __future__ import annotations

from pathlib import Path

from daemon.health import Health
from daemon.protocol.messages import PictureHeader
from daemon.recording.output_file import OutputFile
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.io.atomic_files import free_path
from selfstorm.io.ome_tiff import OmeTiffWriter


class PictureStack(OutputFile[OmeTiffWriter]):
    """Writer of one OME-TIFF for each size of picture and of its pixels.

    OUT-2.ome.tif follows when the camera's field changes, or the user corrects the pixel size.

    Args:
        path: OUT.ome.tif.
        health: takes the path of the open file, and events.
    """

    def __init__(self, path: Path, health: Health) -> None:
        super().__init__(path, health)
        self._size: tuple[object, ...] = ()

    def _append(self, header: PictureHeader, picture: Array) -> None:
        """Append a page with its header, unless the output has ended."""
        if self._failed:
            return
        try:
            size = (picture.shape, header.pixel_nm)
            if self._writer is None or size != self._size:
                self._close_file()
                self._writer, self._size = OmeTiffWriter(self._next_path(), header.pixel_nm), size
            self._writer.add(picture, header.model_dump(mode="json", exclude={"shape", "dtype"}))
        except (OSError, InputError) as error:
            self._give_up(error)

    def _free_path(self) -> Path:
        return free_path(self._path)
