"""Rendering of many emitters at any positions, and its derivatives.

A window is a square of camera pixels: a core, and a margin wide enough for a whole spot. Emitters in the same window
are rendered together by matrix products, since each mode of the PSF is separable; windows that overlap are added up.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp
from selfstorm.psf.canvas import Canvas
from selfstorm.psf.emitters import Emitters
from selfstorm.psf.patch_layout import WindowPlaces
from selfstorm.psf.profiles import Profiles


def gradients(along: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum rows of a canvas, times profiles along y, times those along x.

    Args:
        along: (windows, SLOTS, R, orders, side).
        columns: of the same shape.
    """
    value_n_y = (along * columns[:, :, :, :1]).sum((2, 4))
    slope_x = (along[:, :, :, 0] * columns[:, :, :, 1]).sum((2, 3))
    return value_n_y[..., 0], value_n_y[..., 1], slope_x


def turned(rows: Tensor, n: Tensor) -> Tensor:
    """Return n times the profiles, slopes before values.

    Args:
        rows: (windows, SLOTS, R, 2, side).
        n: (windows, SLOTS) photons.
    """
    return (rows * n[:, :, None, None, None]).flip(3)


def photon_curvature(along: Tensor, columns: Tensor) -> Tensor:
    """Sum the values of profiles, times those along x; see `gradients`."""
    return (along[:, :, :, 0] * columns[:, :, :, 0]).sum((2, 3)).clamp(min=1e-9)


def position_curvatures(along: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Sum slopes times values, along y and along x; see `gradients`."""
    curve_y = (along[:, :, :, 1] * columns[:, :, :, 0]).sum((2, 3))
    return curve_y, (along[:, :, :, 0] * columns[:, :, :, 1]).sum((2, 3))


_gradients, _turned = CompiledOp(gradients), CompiledOp(turned)
_photon_curvature, _position_curvatures = CompiledOp(photon_curvature), CompiledOp(position_curvatures)


class Windows:
    """Emitters at given positions, rendered by windows.

    Values are (windows, SLOTS); the sum over the modes is part of the matrix products.
    """

    def __init__(self, tables: Profiles, places: WindowPlaces, y_px: Tensor, x_px: Tensor) -> None:
        self.squares = places.squares
        rows, columns = tables.rows(y_px, x_px, places.corner_y[:, None], places.corner_x[:, None])
        # (windows, SLOTS, R, orders, side)
        self.rows, self.columns = rows, columns

    def add(self, n: Tensor) -> Tensor:
        """Render all spots, n photons each, on a canvas."""
        rows = (self.rows[:, :, :, 0] * n[:, :, None, None]).flatten(1, 2)
        return self.squares.added(rows.mT @ self.columns[:, :, :, 0].flatten(1, 2))

    def gradients(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sum canvas z times the spot, and times its slopes along y and x."""
        return _gradients(self._times_rows(self.rows, z), self.columns)

    def curvatures(self, n: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the curvatures of the separable surrogates.

        Args:
            n: (windows, SLOTS) photons.
            ratio: canvas of 1 / expected photons, 0 outside the field.

        Returns:
            Curvature in photons, in y and in x; the latter two per photon.
        """
        rows, columns = self.rows.abs(), self.columns.abs()
        value = self.squares.added(rows[:, :, :, 0].flatten(1, 2).mT @ columns[:, :, :, 0].flatten(1, 2)) * ratio
        curve_n = _photon_curvature(self._times_rows(rows[:, :, :, :1], value), columns)
        # |slope y| + |slope x|: both derivatives in one product
        bright = _turned(rows, n).flatten(1, 3)
        slopes = self.squares.added(bright.mT @ columns.flatten(1, 3)) * ratio
        return curve_n, *_position_curvatures(self._times_rows(rows, slopes), columns)

    def _times_rows(self, rows: Tensor, z: Tensor) -> Tensor:
        """Multiply every row of every emitter by its window of canvas z.

        Returns:
            (windows, SLOTS, R, orders, side).
        """
        return (rows.flatten(1, 3) @ self.squares.of(z)).view(rows.shape)


class Patches:
    """Windows of their own, one around each emitter."""

    def __init__(self, canvas: Canvas, tables: Profiles, e: Emitters) -> None:
        self.tables = tables
        self.first_y, self.first_x = e.y_px.floor().long() - tables.halo, e.x_px.floor().long() - tables.halo
        self.squares = canvas.squares(e.frame, self.first_y, self.first_x, tables.side)
        self.rows, self.columns = tables.rows(e.y_px, e.x_px, self.first_y, self.first_x)

    def spot(self, order_y: int, order_x: int) -> Tensor:
        """Render spots of one photon, or derivatives: (E, side, side)."""
        return self.rows[:, :, order_y].mT @ self.columns[:, :, order_x]

    def spots(self, others: Emitters) -> Tensor:
        """Render on each window another emitter near it: (E, side, side)."""
        rows, columns = self.tables.rows(others.y_px, others.x_px, self.first_y, self.first_x)
        return (rows[:, :, 0] * others.photons[:, None, None]).mT @ columns[:, :, 0]

    def of(self, z: Tensor) -> Tensor:
        """Cut the windows out of canvas z: (E, side, side)."""
        return self.squares.of(z)

    def information(self, n: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Fisher information of positions along y and x.

        Args:
            n: (E,) photons.
            ratio: canvas of 1 / expected photons, 0 outside the field.

        Returns:
            (E, 2) each: including what an emitter shares with its neighbours, and of the emitter alone.
        """
        shared, own = [], []
        for orders in ((1, 0), (0, 1)):
            slope = self.spot(*orders).abs() * n[:, None, None]
            total = self.squares.added(slope) * ratio
            shared.append((slope * self.of(total)).sum((1, 2)))
            own.append((slope * slope * self.of(ratio)).sum((1, 2)))
        return torch.stack(shared, 1), torch.stack(own, 1)
