"""Emitter maps -> candidates: the maxima, from which stage C starts."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp
from selfstorm.errors import InputError
from selfstorm.physics.operators import Grid
from selfstorm.psf.emitters import Emitters
from selfstorm.stages.emitters import sample_maps
from selfstorm.stages.stage import Batch, Run, Sample, Stage

MIN_PHOTONS = 30.0
MIN_PEAK = 0.3  # photons of a cell in the blurred map: below, 5 x 5 cells cannot reach MIN_PHOTONS


MAPS = 6  # allocated at once, per frame


def candidates(maps: Tensor, grid: Grid) -> Emitters:
    """Find local maxima of the slightly blurred maps.

    Args:
        maps: (T, rows, columns) photons per SR cell on the padded grid, from stage B.
        grid: of the maps.

    Returns:
        Emitters at the 3 x 3 centroids of the maxima, with the photons of 5 x 5 cells.
    """
    if maps.shape[1:] != grid.cells:
        raise InputError(f"maps {tuple(maps.shape)} for {grid}")
    blurred = _blur(_blur(maps, -1), -2)
    highest = _highest(_highest(blurred, -1), -2)
    frame, row, column = ((blurred == highest) & (blurred > MIN_PEAK)).nonzero(as_tuple=True)
    photons, total, moment_y, moment_x = _moments(maps, frame, row, column)
    y_px = (row + 0.5 + moment_y / total) / grid.scale - grid.pad_px
    x_px = (column + 0.5 + moment_x / total) / grid.scale - grid.pad_px
    return Emitters(frame, y_px, x_px, photons).where(photons > MIN_PHOTONS)


def moments(maps: Tensor, frame: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sum the light around maxima.

    Args:
        maps: (T, rows, columns).
        frame: (E,) of each maximum.
        row: (E,) of each maximum.
        column: (E,) of each maximum.

    Returns:
        Photons of 5 x 5 cells; of 3 x 3 cells, photons and their first moments along y and x, (E,) each.
    """
    rows, columns = maps.shape[1:]
    photons = torch.zeros_like(row, dtype=maps.dtype)
    total, moment_y, moment_x = photons + 1e-12, photons, photons
    for dy, dx in itertools.product(range(-2, 3), repeat=2):
        i, j = row + dy, column + dx
        valid = (i >= 0) & (i < rows) & (j >= 0) & (j < columns)
        light = maps[frame, i.clamp(0, rows - 1), j.clamp(0, columns - 1)] * valid
        photons = photons + light
        if max(abs(dy), abs(dx)) < 2:
            total, moment_y, moment_x = total + light, moment_y + dy * light, moment_x + dx * light
    return photons, total, moment_y, moment_x


_moments = CompiledOp(moments)


def _blur(z: Tensor, axis: int) -> Tensor:
    """Blur z by (1, 2, 1) / 4 along an axis, zero beyond the ends."""
    out, length = 0.5 * z, z.shape[axis] - 1
    out.narrow(axis, 0, length).add_(z.narrow(axis, 1, length), alpha=0.25)
    out.narrow(axis, 1, length).add_(z.narrow(axis, 0, length), alpha=0.25)
    return out


def _highest(z: Tensor, axis: int) -> Tensor:
    """Return the maximum of each cell and its two neighbours along an axis."""
    length = z.shape[axis] - 1
    pairs = torch.maximum(z.narrow(axis, 0, length), z.narrow(axis, 1, length))
    inner = torch.maximum(pairs.narrow(axis, 0, length - 1), pairs.narrow(axis, 1, length - 1))
    return torch.cat([pairs.narrow(axis, 0, 1), inner, pairs.narrow(axis, length - 1, 1)], axis)


def _bytes(batch: Batch) -> int:
    return MAPS * batch.frames * batch.imaging.grid.map_bytes


def _prepare(sample: Sample) -> Run:
    maps, grid = sample_maps(sample), sample.imaging.grid
    return lambda iterations: candidates(maps, grid)


CANDIDATES = Stage("candidates", _bytes, _prepare, batched=True)  # timed together with the emitter maps
