"""Accumulated pictures on disk (--accumulated): one page for every scene."""

from __future__ import annotations

from pathlib import Path

from daemon.health import Health
from daemon.processing.picture_headers import accumulated_of
from daemon.processing.sinks import Sink, WindowOutput
from daemon.protocol.messages import PictureHeader
from selfstorm.errors import InputError
from selfstorm.io.atomic_files import check_file, free_path
from selfstorm.io.ome_tiff import OmeTiffWriter
from selfstorm.stream.accumulation import Accumulation


class AccumulatedWriter(Sink):
    """Writer of the accumulated picture of each scene, when it has ended.

    The last is written when the run ends: the same bits as offline. OUT-2.ome.tif follows when the camera's field
    changes, and where a file of an earlier run exists. What a killed run had accumulated is in its checkpoint.

    Args:
        path: OUT.ome.tif.
        health: takes events.

    Raises:
        InputError: a file cannot be written there.
    """

    def __init__(self, path: Path, health: Health) -> None:
        check_file(path)
        self._path, self._health = path, health
        self._newest: tuple[PictureHeader, Accumulation] | None = None
        self._writer: OmeTiffWriter | None = None
        self._shape: tuple[int, ...] = ()
        self._failed = False

    def result(self, output: WindowOutput) -> None:
        """Keep the sums of a window, and write those of the scene before."""
        now = output.made.result.accumulation
        if self._failed or now is None or not output.made.learned:
            return
        if self._newest is not None and not _goes_on(self._newest[1], now):
            self._write_scene()
        self._newest = output.header, now

    def close(self) -> None:
        """Write the last scene, and finish the file under its final name."""
        self._write_scene()
        self._close_file()

    def _write_scene(self) -> None:
        newest, self._newest = self._newest, None
        described = None if newest is None else accumulated_of(*newest)
        if described is None:
            return
        header, picture = described
        try:
            if self._writer is None or picture.shape != self._shape:
                self._close_file()
                self._writer, self._shape = OmeTiffWriter(self._next_path(), header.pixel_nm), picture.shape
            self._writer.add(picture, header.model_dump(mode="json", exclude={"shape", "dtype"}))
        except (OSError, InputError) as error:
            self._give_up(error)

    def _next_path(self) -> Path:
        path = free_path(self._path)
        if not self._shape and path != self._path:
            text = f"{self._path} exists and is kept; accumulated pictures go to {path}"
            self._health.event("warning", "accumulated_renamed", text)
        return path

    def _close_file(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except (OSError, InputError) as error:
                self._give_up(error)

    def _give_up(self, error: OSError | InputError) -> None:
        self._failed = True
        self._health.event("error", "accumulated_stopped", f"{self._path}: {error}; what was written is kept")


def _goes_on(before: Accumulation, now: Accumulation) -> bool:
    """Return whether it is of the same scene, and of the same model."""
    return now.scene == before.scene and now.frames >= before.frames
