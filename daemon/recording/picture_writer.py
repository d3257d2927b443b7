"""Pictures on disk (--save): an OME-TIFF that grows window by window."""

from __future__ import annotations

from pathlib import Path

from daemon.health import Health
from daemon.processing.sinks import Sink, WindowOutput
from selfstorm.errors import InputError
from selfstorm.io.atomic_files import check_file, free_path
from selfstorm.io.ome_tiff import OmeTiffWriter


class PictureWriter(Sink):
    """Writes one file for each size of picture.

    The first is OUT.ome.tif; OUT-2.ome.tif follows when the camera's field changes. Files of earlier runs are kept: a
    name that exists gets a number, too.

    A full disk, or a file that cannot be written, ends the saving, with an event; the stream goes on.

    Args:
        path: OUT.ome.tif.
        health: takes the state of the saving, and events.

    Raises:
        InputError: a file cannot be written there.
    """

    def __init__(self, path: Path, health: Health) -> None:
        self._path, self._health = path, health
        self._writer: OmeTiffWriter | None = None
        self._shape: tuple[int, ...] = ()
        self._failed = False
        check_file(path)
        health.report(saving=str(path))

    def result(self, output: WindowOutput) -> None:
        """Append the picture with its header."""
        if self._failed:
            return
        header, picture = output.header, output.picture
        try:
            if self._writer is None or picture.shape != self._shape:
                self._close_file()
                self._writer, self._shape = OmeTiffWriter(self._free_name(), header.pixel_nm), picture.shape
            self._writer.add(picture, header.model_dump(mode="json", exclude={"shape", "dtype"}))
        except (OSError, InputError) as error:
            self._give_up(error)

    def close(self) -> None:
        """Finish the file under its final name."""
        self._close_file()

    def _close_file(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except (OSError, InputError) as error:
                self._give_up(error, f" as {writer.part}")

    def _give_up(self, error: OSError | InputError, where: str = "") -> None:
        self._failed = True
        self._health.report(saving="")
        self._health.event("error", "saving_stopped", f"{self._path}: {error}; what was saved is kept{where}")

    def _free_name(self) -> Path:
        path = free_path(self._path)
        if self._shape == () and path != self._path:
            self._health.event("warning", "saving_renamed", f"{self._path} exists and is kept; pictures go to {path}")
        self._health.report(saving=str(path))
        return path
