"""Rulers: structures at rest whose distances are known.

Squares cover the field, each with one ruler, turned by an angle and moved by a distance of its own: rulers on a lattice
would have no light at most frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.simulation.scene import RandomStream, Scene, check_sites, generator

Floats = NDArray[np.float64]
LINE_NM = 500.0
RING_CORNERS = 8
_GAP_NM, _MIN_GAP_NM = 400.0, 100.0  # between neighbouring rulers: in the mean, at least


def lines(ruler_nm: float, spacing_nm: float) -> Floats:
    """Place dyes on two parallel lines, ruler_nm apart: (N, 2) across, along."""
    along = _line(spacing_nm)
    across = np.full(len(along), ruler_nm / 2)
    return np.concatenate([np.stack([side * across, along], 1) for side in (-1, 1)])


def crossings(ruler_nm: float, spacing_nm: float) -> Floats:
    """Place dyes on two lines that cross, ruler_nm apart at their ends.

    Returns:
        (N, 2) across, along; their distance is ruler_nm * along / (LINE_NM / 2).
    """
    along = _line(spacing_nm)
    across = ruler_nm * along / LINE_NM
    return np.concatenate([np.stack([side * across, along], 1) for side in (-1, 1)])


def rings(ruler_nm: float, spacing_nm: float) -> Floats:
    """Place dyes at the corners of a ring of diameter ruler_nm: (N, 2)."""
    angle = np.arange(RING_CORNERS) * 2 * math.pi / RING_CORNERS
    return np.stack([np.sin(angle), np.cos(angle)], 1) * ruler_nm / 2


SHAPES: dict[str, Callable[[float, float], Floats]] = {"lines": lines, "crossings": crossings, "rings": rings}


class Rulers:
    """Dyes of a scene of rulers; what drifts out returns on the other side.

    Attributes:
        centres_nm: (R, 2) y, x of the rulers.
        angles_rad: (R,) by which each is turned.
        sites: number of dyes.
    """

    def __init__(self, scene: Scene, margin_nm: float) -> None:
        self.margin_nm = margin_nm
        self.drift_nm_per_frame = np.asarray(scene.drift_nm_per_frame, float)
        self.world_nm = np.asarray(scene.field_nm) + 2 * margin_nm
        shape_nm = SHAPES[scene.structure](scene.ruler_nm, scene.site_spacing_nm)
        square_nm = 2 * float(np.hypot(*shape_nm.T).max()) + _GAP_NM
        squares = np.maximum(self.world_nm // square_nm, 1).astype(int)
        self.sites = int(squares.prod()) * len(shape_nm)
        check_sites(self.sites, "structure", "give a larger site_spacing_nm or a smaller field")
        rng = generator(scene.seed, RandomStream.STRUCTURE)
        grid = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in squares), indexing="ij"), -1).reshape(-1, 2)
        moved = rng.uniform(-0.5, 0.5, grid.shape) * (_GAP_NM - _MIN_GAP_NM)
        self.centres_nm: Floats = grid * self.world_nm / squares - margin_nm + moved
        self.angles_rad: Floats = rng.uniform(0, 2 * math.pi, len(grid))
        turned = np.einsum("rij,nj->rni", turns(self.angles_rad), shape_nm)
        self._sites_nm: Floats = (self.centres_nm[:, None] + turned).reshape(-1, 2)

    def positions_nm(self, sites: NDArray[Any], time_frames: float) -> Floats:
        """Compute the positions (N, 2) of sites, (y, x) in nm."""
        at = self._sites_nm[sites] + self.drift_nm_per_frame * time_frames
        wrapped: Floats = np.mod(at + self.margin_nm, self.world_nm) - self.margin_nm
        return wrapped


def turns(angles_rad: Floats) -> Floats:
    """Make rotations (R, 2, 2) from a ruler's (across, along) to (y, x)."""
    sine, cosine = np.sin(angles_rad), np.cos(angles_rad)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def _line(spacing_nm: float) -> Floats:
    return np.arange(spacing_nm / 2 - LINE_NM / 2, LINE_NM / 2, spacing_nm)
