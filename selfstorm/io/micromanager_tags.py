"""What Micro-Manager says of an image, in its stacks and in NDTiff data sets, flat or as a property map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from selfstorm.io.reader import AcquisitionInfo, Stamp

MOST = 2**53  # beyond it a number is none that anybody counted
Tags = Mapping[str, Any]


def tag(tags: Tags, *names: str) -> Any:
    """The first of these tags there is, None without; also where a property map wraps it."""
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
    """The first of these tags as a finite number, None without."""
    try:
        value = float(tag(tags, *names))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def pixel_nm(tags: Tags) -> float | None:
    """The calibrated pixel size, None where there is none: Micro-Manager then writes 0."""
    um = number(tags, "PixelSizeUm", "PixelSize_um")
    return um * 1e3 if um else None


def stamp(tags: Tags, index: int, begin_unix_ms: float | None) -> Stamp:
    """Number and time of the image with these tags; index: its place in the movie.

    begin_unix_ms: when the core received the first image, the zero of the clock where ElapsedTime-ms stands still
    (a core without acquisition engine writes 0 for every image).
    """
    count = number(tags, "ImageNumber")
    count = count if count is not None and abs(count) < MOST else None
    elapsed_ms, received_ms = number(tags, "ElapsedTime-ms", "ElapsedTimeMs"), received_unix_ms(tags)
    if not elapsed_ms and received_ms is not None and begin_unix_ms is not None:
        elapsed_ms = received_ms - begin_unix_ms
    return Stamp(int(count) if count is not None else index, elapsed_ms)


def received_unix_ms(tags: Tags) -> float | None:
    """When the core received the image; the zone does not matter, only differences count."""
    text = tag(tags, "TimeReceivedByCore", "ReceivedTime")
    try:
        return datetime.fromisoformat(str(text)[:26].rstrip()).timestamp() * 1e3
    except (ValueError, OSError, OverflowError):
        return None


def acquisition(tags: Tags) -> AcquisitionInfo:
    """How the image with these tags was taken."""
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
    return (int(y), int(x)) if max(abs(x), abs(y)) < MOST else (0, 0)
