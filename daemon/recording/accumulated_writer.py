"""Accumulated pictures on disk (--accumulated): one page for every scene."""

from __future__ import annotations

from pathlib import Path

from daemon.health import Health
from daemon.processing.picture_headers import accumulated_of
from daemon.processing.sinks import WindowOutput
from daemon.protocol.messages import PictureHeader
from daemon.recording.picture_stack import PictureStack
from selfstorm.stream.accumulation import Accumulation


class AccumulatedWriter(PictureStack):
    """Writer of the accumulated picture of each scene, when it has ended.

    The last is written when the run ends: the same bits as offline. What a killed run had accumulated is in its
    checkpoint.
    """

    name, content = "accumulated", "accumulated pictures"

    def __init__(self, path: Path, health: Health) -> None:
        super().__init__(path, health)
        self._newest: tuple[PictureHeader, Accumulation] | None = None

    def learned(self, output: WindowOutput, sums: Accumulation | None) -> None:
        """Keep the sums of a window, and write those of the scene before."""
        if sums is None:
            return
        if self._newest is not None and not _goes_on(self._newest[1], sums):
            self._write_scene()
        self._newest = output.header, sums

    def close(self) -> None:
        """Write the last scene, and finish the file under its final name."""
        self._write_scene()
        super().close()

    def _write_scene(self) -> None:
        newest, self._newest = self._newest, None
        described = None if newest is None or self._failed else accumulated_of(*newest)
        if described is not None:
            self._append(*described)


def _goes_on(before: Accumulation, now: Accumulation) -> bool:
    """Return whether it is of the same scene, and of the same model."""
    return now.scene == before.scene and now.frames >= before.frames
