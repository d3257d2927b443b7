"""Visible part of a picture at the resolution of a remote screen, compressed."""

from __future__ import annotations

import numpy as np

from daemon.protocol.messages import View
from daemon.protocol.verbs import RefusedRequestError, ViewOf
from daemon.transport.publisher import Picture
from selfstorm.frames import Array, Region

REFINED, PREVIEW = "sr.refined", "sr.preview"


def newest(pictures: dict[str, Picture], kind: str) -> tuple[str, Picture] | None:
    """Find (kind, picture); 'newest' is a preview only until its refined picture is there."""
    if kind == "newest":
        there = [name for name in (REFINED, PREVIEW) if name in pictures]  # of one window the first
        kind = max(there, key=lambda name: pictures[name][0].window, default=REFINED)
    return (kind, pictures[kind]) if kind in pictures else None


def view_of(request_id: str, kind: str, picture: Picture, wanted: ViewOf) -> tuple[View, Array]:
    """Make the View and its pixels, (H, W) float32. Raises RefusedRequestError for a region outside the picture."""
    header, pixels = picture
    height, width = pixels.shape
    region = wanted.region or Region(0, 0, height, width)
    if region.y >= height or region.x >= width:
        raise RefusedRequestError(f"the region begins outside the picture of {height} x {width} pixels")
    region = Region(region.y, region.x, min(region.height, height - region.y), min(region.width, width - region.x))
    shown = averaged(region.of(pixels), wanted.zoom)
    view = View(
        id=request_id,
        kind=kind,
        picture=header,
        region=region,
        zoom=wanted.zoom,
        shape=(shown.shape[0], shown.shape[1]),
        codec=wanted.codec,
    )
    return view, shown


def averaged(pixels: Array, zoom: int) -> Array:
    """Average blocks of zoom x zoom pixels, (H, W) float32; blocks at the far edges may be smaller."""
    if zoom == 1:
        return pixels
    firsts = [np.arange(0, side, zoom) for side in pixels.shape]
    sums = np.add.reduceat(np.add.reduceat(pixels, firsts[0], axis=0, dtype=np.float64), firsts[1], axis=1)
    counts = [np.diff(np.append(first, side)) for first, side in zip(firsts, pixels.shape, strict=True)]
    return np.asarray(sums / np.outer(*counts), np.float32)
