"""Visible part of a picture, at the resolution of a remote screen."""

from __future__ import annotations

import numpy as np

from daemon.protocol.messages import View
from daemon.protocol.verbs import RefusedRequestError, ViewOf
from daemon.transport.publisher import Picture
from selfstorm.frames import Array, Region

REFINED, PREVIEW = "sr.refined", "sr.preview"


def newest(pictures: dict[str, Picture], kind: str) -> tuple[str, Picture] | None:
    """Find a picture of this kind.

    Args:
        pictures: the newest one of each kind.
        kind: name of a kind; 'newest' means the refined picture of the newest window, or its preview until then.

    Returns:
        (kind, picture); None if there is none.
    """
    if kind == "newest":
        there = [name for name in (REFINED, PREVIEW) if name in pictures]  # of one window the first
        kind = max(there, key=lambda name: pictures[name][0].window, default=REFINED)
    return (kind, pictures[kind]) if kind in pictures else None


def visible(shape: tuple[int, ...], wanted: ViewOf) -> Region:
    """Cut the region of a view to the picture.

    Args:
        shape: (H, W) of the picture.
        wanted: the view.

    Raises:
        RefusedRequestError: the region begins outside the picture.
    """
    height, width = shape
    region = wanted.region or Region(0, 0, height, width)
    if region.y >= height or region.x >= width:
        raise RefusedRequestError(f"the region begins outside the picture of {height} x {width} pixels")
    return Region(region.y, region.x, min(region.height, height - region.y), min(region.width, width - region.x))


def view_of(request_id: str, kind: str, picture: Picture, region: Region, wanted: ViewOf) -> tuple[View, Array]:
    """Cut a view out of a picture.

    Args:
        request_id: of the request that this answers.
        kind: of the picture.
        picture: header and pixels, (H, W) float32.
        region: of the picture, within it.
        wanted: zoom and codec.

    Returns:
        The View and its pixels, (ceil(height / zoom), ceil(width / zoom)) float32.
    """
    header, pixels = picture
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
    """Average blocks of zoom x zoom pixels.

    Args:
        pixels: (H, W) float32.
        zoom: side of a block in pixels.

    Returns:
        (ceil(H / zoom), ceil(W / zoom)) float32; blocks at the far edges average fewer pixels.
    """
    if zoom == 1:
        return pixels
    firsts = [np.arange(0, side, zoom) for side in pixels.shape]
    sums = np.add.reduceat(np.add.reduceat(pixels, firsts[0], axis=0, dtype=np.float64), firsts[1], axis=1)
    counts = [np.diff(np.append(first, side)) for first, side in zip(firsts, pixels.shape, strict=True)]
    return np.asarray(sums / np.outer(*counts), np.float32)
