"""Localisations on disk (--localizations), written window by window."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from daemon.health import Health
from daemon.processing.sinks import Sink, WindowOutput
from selfstorm.errors import InputError
from selfstorm.frames import Window
from selfstorm.io.atomic_files import check_file
from selfstorm.io.localization_table import (
    LocalizationTable,
    TableInfo,
    TableWriter,
    check_format,
    free_table_path,
    table_writer,
)


class LocalizationWriter(Sink):
    """Writer of one table for each stream.

    Frames are numbered as in the stream, positions are those in the camera's field. The first table is OUT; OUT-2
    follows when a stream begins, since its frames count from 0 again. Files of earlier runs are kept: a name that
    exists gets a number, too.

    Each frame is written once, by the first window that localises it: what is on disk is never changed. Frames of
    windows that were reduced to the density have no localisations; they are counted, with an event.

    A full disk, or a file that cannot be written, ends the writing, with an event; the stream goes on.

    Args:
        path: OUT.csv, OUT.hdf5 or OUT.smlm.
        health: takes events.

    Raises:
        InputError: a file cannot be written there.
    """

    def __init__(self, path: Path, health: Health) -> None:
        check_file(path)
        check_format(path)
        self._path, self._health = path, health
        self._writer: TableWriter | None = None
        self._stream, self._pixel_nm = "", 0.0
        self._begun = self._failed = False
        self._reset_counts()

    def _reset_counts(self) -> None:
        self._seen_to = self._localized_to = -1  # the last frame that a window had, that was localised
        self._seen = self._localized = 0  # frames

    def result(self, output: WindowOutput) -> None:
        """Append the localisations of the frames that no window before had."""
        if self._failed:
            return
        try:
            self._follow(output.window)
            found, psf = output.made.result.localizations, output.made.result.psf
            if found is not None and psf is not None:
                self._append(output, LocalizationTable.of(found.where(found.frame > self._localized_to), psf))
        except (OSError, InputError) as error:
            self._give_up(error)

    def failed(self, window: Window, error: str) -> None:
        """Count the frames of a window without a picture."""
        if not self._failed:
            self._follow(window)

    def close(self) -> None:
        """Finish the file, and report frames that are not in it."""
        self._close_file()
        if not self._failed and self._localized < self._seen:
            text = f"{self._seen - self._localized} of {self._seen} frames have no localisations"
            self._health.event("warning", "frames_not_localized", f"{text}: their windows were not localised")

    def _follow(self, window: Window) -> None:
        """Count a window's new frames; a new stream starts a new table."""
        if window.info.stream != self._stream:
            self.close()
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
            self._writer = table_writer(self._free_name(), self._info(output))
        self._writer.frames = window.last_seq + 1
        self._writer.append(table)
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

    def _close_file(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except (OSError, InputError) as error:
                self._give_up(error)

    def _give_up(self, error: OSError | InputError) -> None:
        self._failed, self._writer = True, None
        text = f"{self._path}: {error}; what was written is kept"
        self._health.event("error", "localizations_stopped", text)

    def _free_name(self) -> Path:
        path = free_table_path(self._path)
        if not self._begun and path != self._path:
            text = f"{self._path} exists and is kept; localisations go to {path}"
            self._health.event("warning", "localizations_renamed", text)
        self._begun = True
        return path


def _camera_pixel_nm(output: WindowOutput) -> float:
    """Return the camera pixel of a picture; no window is processed without."""
    return (output.header.pixel_nm or 0.0) * output.header.scale
