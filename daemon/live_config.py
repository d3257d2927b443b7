"""Configuration of the running daemon.

It is the one that the daemon was started with, with all changes since.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from daemon.config import CameraSection, Config, OpticsSection, ReconstructionSection, explained
from daemon.drive_work import DriveWork
from daemon.stream_settings import stream_settings
from selfstorm.errors import InputError
from selfstorm.frames import Region, StreamInfo
from selfstorm.io.camera_file import calibrations_folder

MAX_WINDOW_BYTES = 8 * 10**9
MIN_WINDOW = 8  # frames
FIXED = ("model", "device")  # changing them needs a new run
SETTABLE = (
    *(f"camera.{name}" for name in CameraSection.model_fields),
    *(f"optics.{name}" for name in OpticsSection.model_fields),
    *(f"reconstruction.{name}" for name in ReconstructionSection.model_fields if name not in FIXED),
)


class LiveConfig:
    """The current configuration, consistent at any moment.

    Control changes it; receiver and worker read it.

    Attributes:
        current: immutable; replaced as a whole.
    """

    def __init__(self, config: Config) -> None:
        self._lock = threading.Lock()
        self._drive = DriveWork("calibration of the camera")
        self.current = config

    def change(self, changes: Mapping[str, Any], stream: StreamInfo | None) -> dict[str, tuple[Any, Any]]:
        """Set keys, all or none.

        Args:
            changes: values by the configuration file's keys ('reconstruction.stride': 25); None removes a key.
            stream: the running stream, which the settings must fit; None before the first.

        Returns:
            (before, after) of every key that changed.

        Raises:
            InputError: a change is not possible; nothing is changed then.
        """
        with self._lock:
            before = self.current
            raw = before.model_dump()
            for key, value in changes.items():
                _check_key(key)
                section, name = key.split(".")
                if value is None:
                    raw[section].pop(name)
                else:
                    raw[section][name] = value
            try:
                after = Config.model_validate(raw)
            except ValidationError as error:
                raise explained(error, "") from None
            if stream is not None:
                self._drive.do(lambda: stream_settings(after, stream), calibrations_folder())
                if _extent(after) != _extent(before):  # else a new camera may be what they do not fit
                    _check_region(after.reconstruction.region, stream)
                    _check_memory(after.reconstruction, stream)
            self.current = after
        was, now = values_of(before), values_of(after)
        return {key: (was[key], now[key]) for key in SETTABLE if was[key] != now[key]}


def values_of(config: Config) -> dict[str, Any]:
    """Return every key that can be changed, with its value."""
    keys = (key.split(".") for key in SETTABLE)
    return {f"{section}.{name}": getattr(getattr(config, section), name) for section, name in keys}


def _extent(config: Config) -> tuple[Region | None, int]:
    return config.reconstruction.region, config.reconstruction.window


def _check_key(key: str) -> None:
    if key in SETTABLE:
        return
    close = difflib.get_close_matches(key, SETTABLE, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"settings that can change: {', '.join(SETTABLE)}"
    raise InputError(f"'{key[:100]}' cannot be changed while the daemon runs", hint=hint)


def _check_memory(chosen: ReconstructionSection, stream: StreamInfo) -> None:
    """Raise InputError for a window whose frames do not fit into memory."""
    height, width = (stream.height, stream.width) if chosen.region is None else chosen.region[2:]
    needed = chosen.window * height * width * np.dtype(stream.dtype).itemsize
    if needed > MAX_WINDOW_BYTES:
        raise InputError(
            f"a window of {chosen.window} frames of {height} x {width} pixels needs {needed / 1e9:.1f} GB of memory",
            where="reconstruction.window",
            hint=f"choose a shorter window or a region: at most {MAX_WINDOW_BYTES / 1e9:.0f} GB",
        )


def fitting_window(chosen: ReconstructionSection, stream: StreamInfo) -> int:
    """Return the frames of a window: those chosen, or those that fit.

    Args:
        chosen: of the user.
        stream: as its windows show it, cut to the region.
    """
    frame_bytes = stream.height * stream.width * np.dtype(stream.dtype).itemsize
    return min(chosen.window, max(MIN_WINDOW, MAX_WINDOW_BYTES // frame_bytes))


def _check_region(region: Region | None, stream: StreamInfo) -> None:
    if region is not None and not region.within(stream.height, stream.width):
        raise InputError(
            f"reconstruction.region: {tuple(region)} exceeds the camera's {stream.height} x {stream.width} pixels",
            hint="give y, x, height, width in camera pixels",
        )
