"""Profiles of a PSF along both axes, integrated over pixels and tabulated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp
from selfstorm.frames import Array
from selfstorm.psf.models import Psf, reach_px
from selfstorm.psf.separable import Integral

PHASES = 256  # tabulated positions in a camera pixel: half a nanometre where a pixel is 100 nm
SLOPE_PX, BEND_PX = 0.08, 0.2  # steps of the difference quotients
HALO_PX = (4, 6)  # minimum and maximum margin of a window's core


@dataclass(frozen=True)
class Profiles:
    """The PSF's modes integrated over the pixels of a window, tabulated.

    Attributes:
        side: pixels of a window.
        halo: pixels of its margin on each side.
        modes: R.
        orders: derivatives by position: 2 for value and slope, 3 with the second derivative; per pixel.
        along: (2 * side * PHASES, R * orders * side): by position along y, and below that by position along x: mode,
            order, pixel. Those along y include the modes' weights.
    """

    side: int
    halo: int
    modes: int
    orders: int
    along: Tensor

    def rows(self, y_px: Tensor, x_px: Tensor, first_y: Tensor, first_x: Tensor) -> tuple[Tensor, Tensor]:
        """Look up the profiles at positions (*shape).

        Args:
            y_px: positions from the field's corner.
            x_px: likewise.
            first_y: first rows of the windows from there, which broadcast with the positions.
            first_x: first columns.

        Returns:
            Along y and along x, each (*shape, R, orders, side).
        """
        found = _look_up(self.along, y_px, x_px, first_y, first_x)
        along_y, along_x = found.view(2, *y_px.shape, self.modes, self.orders, self.side)
        return along_y, along_x


def look_up(table: Tensor, y_px: Tensor, x_px: Tensor, first_y: Tensor, first_x: Tensor) -> Tensor:
    """Look up rows of `Profiles.along` at positions in windows.

    Returns:
        (2 * positions, columns): along y, then along x.
    """
    half = len(table) // 2
    axis = torch.arange(2, device=y_px.device).view(2, *(1 for _ in y_px.shape))  # chosen, not joined: one kernel
    from_first_px = torch.where(axis == 0, y_px - first_y, x_px - first_x)
    entry = (from_first_px * PHASES).long().clamp(0, half - 1) + half * axis
    return torch.index_select(table, 0, entry.flatten())


_look_up = CompiledOp(look_up)


@lru_cache(maxsize=16)
def profiles(psf: Psf, pixel_nm: float, core: int, orders: int, device: torch.device, dtype: torch.dtype) -> Profiles:
    """Tabulate the profiles of windows with a core of `core` pixels.

    Args:
        psf: the PSF.
        pixel_nm: camera pixel.
        core: pixels.
        orders: 2 for value and slope, 3 with the second derivative.
        device: of the tables.
        dtype: of the tables.
    """
    halo = int(np.clip(reach_px(psf, pixel_nm), *HALO_PX))
    side = core + 2 * halo
    position_nm = (np.arange(side * PHASES) + 0.5) * (pixel_nm / PHASES)
    edge_nm = np.arange(side + 1) * pixel_nm
    modes = psf.modes()

    def derivatives(integral: Integral) -> Array:
        def moved(step_px: float) -> Array:
            u_nm = edge_nm - position_nm[:, None] - step_px * pixel_nm
            return np.diff(integral(u_nm, 0.0), axis=1)

        value = moved(0.0)
        slope = (moved(SLOPE_PX) - moved(-SLOPE_PX)) / (2 * SLOPE_PX)
        bend = (moved(BEND_PX) + moved(-BEND_PX) - 2 * value) / BEND_PX**2
        return np.stack([value, slope, bend][:orders], 1)

    along_y = np.stack([m.weight * derivatives(m.along_y) for m in modes], 1)
    along_x = np.stack([derivatives(m.along_x) for m in modes], 1)
    along = np.concatenate([along_y, along_x]).reshape(2 * len(position_nm), -1)
    return Profiles(side, halo, len(modes), orders, torch.as_tensor(along).to(dtype).to(device))
