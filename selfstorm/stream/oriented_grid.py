"""Grid of positions and orientations, over which velocities are smooth.

Structures that cross at one place are apart on it.

Reference:
    Duits & Franken, Q. Appl. Math. 68, 255 (2010).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]

GRID_NM = 150.0
ORIENTATIONS = 6
ORIENTATION_BLUR = (0.15, 0.7, 0.15)


class OrientedPlaces:
    """Places of localizations on the grid of positions and orientations."""

    def __init__(self, at: Floats, angle: Floats, cells: tuple[int, ...]) -> None:
        self.shape = (ORIENTATIONS, *cells)
        rows, columns = cells
        yx = (at / GRID_NM).clip(0, np.array(cells) - 1.001)
        corner = yx.astype(int)
        turn = angle / np.pi * ORIENTATIONS % ORIENTATIONS
        bin_ = turn.astype(int)
        ways_y, ways_x, ways_t = ((1 - part, part) for part in (*(yx - corner).T, turn - bin_))
        self.corners = [
            (
                ((bin_ + t) % ORIENTATIONS * rows + corner[:, 0] + i) * columns + corner[:, 1] + j,
                ways_t[t] * ways_y[i] * ways_x[j],
            )
            for t in (0, 1)
            for i in (0, 1)
            for j in (0, 1)
        ]

    def gather(self, values: Floats) -> Floats:
        """Add values (E, C) up on the grid, (orientations, rows, columns, C)."""
        size = int(np.prod(self.shape))
        parts = [sum(np.bincount(place, share * column, size) for place, share in self.corners) for column in values.T]
        return np.stack(parts, -1).reshape(*self.shape, -1)

    def at(self, values: Floats) -> Floats:
        """Interpolate values of the grid, (E, C)."""
        flat = values.reshape(-1, values.shape[-1])
        return np.asarray(sum(flat[place] * share[:, None] for place, share in self.corners))


def smooth(gathered: Floats, along: float, across: float) -> Floats:
    """Smooth equations (orientations, rows, columns, C) along structures."""
    if along == across:
        pooled = gathered.sum(0)
        sd = along / GRID_NM
        pooled = gaussian_filter(pooled, (sd, sd, 0), mode="constant") * (2 * np.pi * sd**2)
        return np.broadcast_to(pooled, gathered.shape)
    kernels = _kernels(along, across)
    rows, columns = gathered.shape[1:3]
    reach = kernels.shape[1] // 2
    size = rows + 2 * reach, columns + 2 * reach
    spectrum = np.fft.rfft2(gathered, s=size, axes=(1, 2)) * np.fft.rfft2(kernels, s=size, axes=(1, 2))[..., None]
    whole = np.fft.irfft2(spectrum, s=size, axes=(1, 2))[:, reach : reach + rows, reach : reach + columns]
    before, own, after = ORIENTATION_BLUR
    return np.asarray(before * np.roll(whole, 1, 0) + own * whole + after * np.roll(whole, -1, 0))


@lru_cache(maxsize=8)
def _kernels(along: float, across: float) -> Floats:
    """Make a Gaussian of peak 1 along each orientation, (orientations, n, n)."""
    reach = int(np.ceil(2.5 * along / GRID_NM))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] * GRID_NM
    angle = np.pi * np.arange(ORIENTATIONS)[:, None, None] / ORIENTATIONS
    s, t = y * np.sin(angle) + x * np.cos(angle), x * np.sin(angle) - y * np.cos(angle)
    return np.asarray(np.exp(-0.5 * (s / along) ** 2 - 0.5 * (t / across) ** 2))
