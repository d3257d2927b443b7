"""Times of the frames of an OME-TIFF: DeltaT of its planes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree

import tifffile

MS_PER_UNIT = {"s": 1e3, "ms": 1.0, "µs": 1e-3, "min": 60e3}
ATTRIBUTES = {"time": "TheT", "channel": "TheC", "z": "TheZ"}


def plane_times_ms(
    file: tifffile.TiffFile, axes: Sequence[tuple[str, int]], chosen: Sequence[int | slice], length: int
) -> list[float] | None:
    """Read the times of the frames in ms; None unless all have one."""
    if not (file.is_ome and file.ome_metadata):
        return None
    places = [(ATTRIBUTES.get(name, ""), at) for (name, _), at in zip(axes, chosen, strict=True)]
    movie = next(name for name, at in places if isinstance(at, slice))
    fixed = [(name, at) for name, at in places if isinstance(at, int)]
    times: dict[int, float] = {}
    try:
        image = next(e for e in ElementTree.fromstring(file.ome_metadata).iter() if e.tag.endswith("}Pixels"))  # noqa: S314
        for plane in image:
            if plane.tag.endswith("}Plane") and all(int(plane.attrib[name]) == at for name, at in fixed):
                ms = float(plane.attrib["DeltaT"]) * MS_PER_UNIT[plane.attrib.get("DeltaTUnit", "s")]
                times[int(plane.attrib[movie])] = ms
    except (KeyError, ValueError, StopIteration, ElementTree.ParseError):
        return None
    whole = len(times) == length and all(math.isfinite(ms) for ms in times.values())
    return [times[index] for index in sorted(times)] if whole else None
