"""Localization tables of a drifting sample, with the drift known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from selfstorm.simulation.scene import Scene
from selfstorm.simulation.structures import Filaments

Floats = NDArray[np.float64]
Kind = Literal["none", "linear", "walk", "thermal"]

SIDE_PX, PIXEL_NM = 40, 100.0
PRECISION_NM = 20.0
MARGIN_NM = 500.0  # what leaves the field comes back on the other side, beyond this
THERMAL_STEPS = 4


@dataclass(frozen=True)
class DriftCase:
    """A drift, and how much of it can be seen.

    Attributes:
        kind: 'walk' is random, 'thermal' four steps that are each approached exponentially.
        nm_per_frame: of a walk the root mean square step, of a thermal step its first.
        frames: of the recording.
        density: emitters per square micron and frame, on 16 square microns.
    """

    kind: Kind
    nm_per_frame: float
    frames: int
    density: float

    @property
    def a_frame(self) -> float:
        """Localizations a frame."""
        return self.density * (SIDE_PX * PIXEL_NM) ** 2 * 1e-6

    def drift_nm(self, rng: np.random.Generator) -> Floats:
        """Draw the drift of each frame, (T, 2) nm."""
        time, nm = np.arange(self.frames)[:, None], self.nm_per_frame
        if self.kind == "walk":
            return np.cumsum(rng.normal(0, nm / np.sqrt(2), (self.frames, 2)), 0)
        angles = rng.uniform(0, 2 * np.pi, THERMAL_STEPS)
        ways = np.column_stack([np.sin(angles), np.cos(angles)])
        if self.kind == "linear":
            return np.asarray(time * nm * ways[0])
        if self.kind == "none":
            return np.zeros((self.frames, 2))
        lasts = self.frames / 12
        starts = rng.uniform(0, 0.8, THERMAL_STEPS) * self.frames
        after = (time - starts).clip(0)  # (T, steps)
        return np.asarray(nm * lasts * (1 - np.exp(-after / lasts)) @ ways)


@dataclass(frozen=True)
class DriftTable:
    """Localizations on filaments that drift.

    Attributes:
        frame: (E,) ascending.
        yx_nm: (E, 2).
        drift_nm: (T, 2) of each frame.
    """

    frame: Floats
    yx_nm: Floats
    drift_nm: Floats


def simulated(case: DriftCase, seed: int) -> DriftTable:
    """Simulate the localizations of a case."""
    rng = np.random.default_rng(seed)
    drift = case.drift_nm(rng)
    scene = Scene(height=SIDE_PX, width=SIDE_PX, pixel_nm=PIXEL_NM, filaments=6, seed=seed)
    filaments = Filaments(scene, MARGIN_NM)
    side = np.array(scene.field_nm)
    share = float(side.prod() / filaments.world_nm.prod())
    frame = np.repeat(np.arange(case.frames), rng.poisson(case.a_frame / share, case.frames))
    at = filaments.positions_nm(rng.integers(filaments.sites, size=len(frame)), 0.0) + drift[frame]
    at = np.mod(at + MARGIN_NM, filaments.world_nm) - MARGIN_NM
    inside = ((at > 0) & (at < side)).all(1)
    found = at[inside] + rng.normal(0, PRECISION_NM, (int(inside.sum()), 2))
    return DriftTable(frame[inside].astype(float), found, drift)
