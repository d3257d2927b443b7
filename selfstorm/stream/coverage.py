"""Frames that saw each place of a drifting sample.

A place that the drift brings into view, or out of it, is seen by a part of the frames. Sums over frames are dimmer
there by that share, which is no property of the sample.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.physics.operators import Grid

MIN_SEEN_SHARE = 0.1  # of the frames: what fewer saw is left dimmer, since noise would be multiplied more


def frames_in_view(drift_nm: Array, grid: Grid, scale: int) -> Array:
    """Count the frames that saw each cell's centre.

    Args:
        drift_nm: (F, 2), y and x, of every frame against the picture's time.
        grid: of the camera.
        scale: cells along a camera pixel.

    Returns:
        (scale*H, scale*W) float32.
    """
    rows, columns = (
        _inside(drift_nm[:, axis], pixels * scale, grid.pixel_nm / scale)
        for axis, pixels in enumerate((grid.height, grid.width))
    )
    return rows.T @ columns


def _inside(drift_nm: Array, cells: int, cell_nm: float) -> Array:
    """Return (F, cells) float32: 1 where a frame saw the cell along one axis."""
    centre_nm = (np.arange(cells) + 0.5) * cell_nm + drift_nm[:, None]
    return ((centre_nm >= 0) & (centre_nm < cells * cell_nm)).astype(np.float32)


def per_frame_in_view(drawn: Tensor, seen: Tensor, frames: int) -> Tensor:
    """Brighten sums where a part of the frames saw the sample.

    Args:
        drawn: (rows, columns) sums over frames.
        seen: likewise, the number of frames that saw each cell.
        frames: number of all frames.

    Returns:
        The sums as if all frames had seen every place; the same bits where they did.
    """
    return drawn / (seen / frames).clamp(min=MIN_SEEN_SHARE)
