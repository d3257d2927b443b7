"""The configuration as it is now: what the daemon was started with, and what was changed since then."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from daemon.config import CameraSection, Config, OpticsSection, ReconstructionSection, explained
from daemon.stream_settings import stream_settings
from selfstorm.errors import InputError
from selfstorm.frames import Region, StreamInfo

FIXED = ("model", "device")  # another model or device is another run
SETTABLE = (
    *(f"camera.{name}" for name in CameraSection.model_fields),
    *(f"optics.{name}" for name in OpticsSection.model_fields),
    *(f"reconstruction.{name}" for name in ReconstructionSection.model_fields if name not in FIXED),
)


class LiveConfig:
    """Changed by control, read by intake and worker, each when it begins something new; whole at any moment."""

    def __init__(self, config: Config) -> None:
        self._lock = threading.Lock()
        self.current = config

    def change(self, changes: Mapping[str, Any], stream: StreamInfo | None) -> dict[str, tuple[Any, Any]]:
        """Set keys as the configuration file writes them ('reconstruction.stride': 25), all or none.

        None: as if the key were left out. stream: that now runs. Returns what has changed, (before, after) by key.
        Raises InputError, and then nothing is changed.
        """
        with self._lock:
            before = self.current
            raw = before.model_dump()
            for key, value in changes.items():
                _known(key)
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
                stream_settings(after, stream)
                _within(after.reconstruction.region, stream)
            self.current = after
        was, now = values_of(before), values_of(after)
        return {key: (was[key], now[key]) for key in SETTABLE if was[key] != now[key]}


def values_of(config: Config) -> dict[str, Any]:
    """Every key that can be changed, with its value."""
    keys = (key.split(".") for key in SETTABLE)
    return {f"{section}.{name}": getattr(getattr(config, section), name) for section, name in keys}


def _known(key: str) -> None:
    if key in SETTABLE:
        return
    close = difflib.get_close_matches(key, SETTABLE, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"these can be: {', '.join(SETTABLE)}"
    raise InputError(f"'{key[:100]}' cannot be changed while the daemon runs", hint=hint)


def _within(region: Region | None, stream: StreamInfo) -> None:
    if region is not None and not region.within(stream.height, stream.width):
        raise InputError(
            f"reconstruction.region: {tuple(region)} reaches over the camera's {stream.height} x {stream.width} pixels",
            hint="give y, x, height, width in camera pixels",
        )
