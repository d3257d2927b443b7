"""Micro-Manager's metadata of an image, flat or as a property map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from selfstorm.io.reader import AcquisitionInfo, Stamp

MAX_COUNT = 2**53  # beyond it a float is not a whole number any more
Tags = Mapping[str, Any]


def tag(tags: Tags, *names: str) -> Any:
    """Return the first of these tags that exists, None without any."""
    tags = tags["map"] if isinstance(tags.get("map"), dict) else tags
    inner = [tags[key] for key in ("UserData", "ScopeData") if isinstance(tags.get(key), dict)]
    for name in names:
        for level in (tags, *inner):
            value = level.get(name)
            if isinstance(value, dict):
                value = value.get("scalar")
            if value is not None:
                return value
    return None


def number(tags: Tags, *names: str) -> float | None:
    """Return the first of these tags as a finite number, None without any."""
    try:
        value = float(tag(tags, *names))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def pixel_nm(tags: Tags) -> float | None:
    """Return the calibrated pixel size; None for Micro-Manager's 0."""
    um = number(tags, "PixelSizeUm", "PixelSize_um")
    return um * 1e3 if um else None


def stamp(tags: Tags, index: int, begin_unix_ms: float | None) -> Stamp:
    """Read number and time of an image.

    Args:
        tags: its metadata.
        index: its position in the movie, the number where there is none.
        begin_unix_ms: arrival of the first image in the core, the zero of the clock where ElapsedTime-ms stays 0,
            as it does without an acquisition engine.
    """
    count = number(tags, "ImageNumber")
    count = count if count is not None and abs(count) < MAX_COUNT else None
    elapsed_ms, received_ms = number(tags, "ElapsedTime-ms", "ElapsedTimeMs"), received_unix_ms(tags)
    if not elapsed_ms and received_ms is not None and begin_unix_ms is not None:
        elapsed_ms = received_ms - begin_unix_ms
    return Stamp(int(count) if count is not None else index, elapsed_ms)


def received_unix_ms(tags: Tags) -> float | None:
    """Read when the core received the image.

    Only differences count, so the time zone does not matter.
    """
    text = tag(tags, "TimeReceivedByCore", "ReceivedTime")
    try:
        return datetime.fromisoformat(str(text)[:26].rstrip()).timestamp() * 1e3
    except (ValueError, OSError, OverflowError):
        return None


def acquisition(tags: Tags) -> AcquisitionInfo:
    """Read the acquisition settings of an image."""
    exposure_ms = number(tags, "Exposure-ms", "Exposure", "ExposureMs")
    return AcquisitionInfo(
        exposure_ms=exposure_ms if exposure_ms and exposure_ms > 0 else None,
        camera=str(tag(tags, "Camera") or "")[:200],
        binning=_binning(tag(tags, "Binning")),
        roi_yx=_roi_yx(tags),
    )


def _binning(value: Any) -> int:
    text = str(value).partition("x")[0]
    return int(text) if text.isdecimal() and 1 <= int(text) <= 64 else 1


def _roi_yx(tags: Tags) -> tuple[int, int]:
    x, y = number(tags, "ROI-X-start"), number(tags, "ROI-Y-start")
    if x is None or y is None:
        parts = str(tag(tags, "ROI") or "").split("-")
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            return 0, 0
        x, y = float(parts[0]), float(parts[1])
    return (int(y), int(x)) if max(abs(x), abs(y)) < MAX_COUNT else (0, 0)
