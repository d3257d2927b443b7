"""Localizations on disk (--localizations), written window by window."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from daemon.health import Health
from daemon.processing.sinks import WindowOutput
from daemon.recording.output_file import OutputFile
from selfstorm.errors import InputError
from selfstorm.frames import Window
from selfstorm.io.localization_table import (
    LocalizationTable,
    TableInfo,
    TableWriter,
    check_format,
    free_table_path,
    table_writer,
)


class LocalizationWriter(OutputFile[TableWriter]):
    """Writer of one table for each stream.

    Frames are numbered as in the stream, positions are those in the camera's field. OUT-2 follows when a stream begins,
    since its frames count from 0 again.

    Each frame is written once, by the first window that localizes it: what is on disk is never changed. Frames of
    windows that were reduced to the density have no localizations; they are counted, with an event.

    Args:
        path: OUT.csv, OUT.hdf5 or OUT.smlm.
        health: takes the path of the open file, counts and events.
    """

    name, content = "localizations", "localizations"

    def __init__(self, path: Path, health: Health) -> None:
        check_format(path)
        super().__init__(path, health)
        self._stream, self._pixel_nm = "", 0.0
        self._rows = self._unlocalized = 0  # of all streams
        self._reset_counts()

    def _reset_counts(self) -> None:
        self._seen_to = self._localized_to = -1  # the last frame that a window had, that was localized
        self._seen = self._localized = 0  # frames

    def result(self, output: WindowOutput) -> None:
        """Append the localizations of the frames that no window before had."""
        if self._failed:
            return
        try:
            self._follow(output.window)
            found, psf = output.made.result.localizations, output.made.result.psf
            if found is not None and psf is not None:
                self._append(output, LocalizationTable.of(found.where(found.frame > self._localized_to), psf))
            self._report()
        except (OSError, InputError) as error:
            self._writer = None  # after a row that is cut the table is left as it is
            self._give_up(error)

    def _report(self) -> None:
        """Report the counts up to this window."""
        unlocalized = self._unlocalized + self._seen - self._localized
        self._health.report(localizations_written=self._rows, frames_not_localized=unlocalized)

    def failed(self, window: Window, error: str) -> None:
        """Count the frames of a window without a picture."""
        if not self._failed:
            self._follow(window)
            self._report()

    def close(self) -> None:
        """Finish the file, and report frames that are not in it."""
        self._close_file()
        if not self._failed and self._localized < self._seen:
            text = f"{self._seen - self._localized} of {self._seen} frames have no localizations"
            self._health.event("warning", "frames_not_localized", f"{text}: their windows were not localized")

    def _follow(self, window: Window) -> None:
        """Count a window's new frames; a new stream starts a new table."""
        if window.info.stream != self._stream:
            self.close()
            self._unlocalized += self._seen - self._localized
            self._reset_counts()
            self._stream = window.info.stream
        self._seen += sum(frame.seq > self._seen_to for frame in window.frames)
        self._seen_to = max(self._seen_to, window.last_seq)

    def _append(self, output: WindowOutput, table: LocalizationTable) -> None:
        window, region = output.window, output.window.region
        pixel_nm = _camera_pixel_nm(output)
        if region is not None:
            table = replace(table, y_nm=table.y_nm + region.y * pixel_nm, x_nm=table.x_nm + region.x * pixel_nm)
        if pixel_nm != self._pixel_nm:  # corrected by the user: a table has one
            self._close_file()
            self._pixel_nm = pixel_nm
        if self._writer is None:
            self._writer = table_writer(self._next_path(), self._info(output))
        self._writer.frames = window.last_seq + 1
        self._writer.append(table)
        self._rows += len(table)
        self._localized += sum(frame.seq > self._localized_to for frame in window.frames)
        self._localized_to = window.last_seq

    def _info(self, output: WindowOutput) -> TableInfo:
        info, header = output.window.info, output.header
        facts: dict[str, Any] = {
            "software": f"selfstorm {version('selfstorm')}",
            "movie": info.source,
            "run": header.run,
            "stream": info.stream,
            "optics": header.optics,
            "camera": header.camera,
            "model": header.model,
        }
        return TableInfo(info.height, info.width, _camera_pixel_nm(output), output.window.last_seq + 1, facts)

    def _free_path(self) -> Path:
        return free_table_path(self._path)


def _camera_pixel_nm(output: WindowOutput) -> float:
    """Return the camera pixel of a picture; no window is processed without."""
    return (output.header.pixel_nm or 0.0) * output.header.scale
