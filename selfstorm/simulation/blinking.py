"""Two-state blinking of many dyes, frame by frame from any frame on.

Each dye is a Markov process in continuous time: off -> on at the rate k (a Poisson process), on -> off after
a time of mean `on_frames`. Activations are drawn frame by frame for all dyes together; an activation of a dye
that is already on restarts its on-time, which changes nothing for a memoryless process. The state at a time
therefore follows from the activations of the last MAX_ON_PERIOD * on_frames frames, and no frame depends on the
frame at which the movie was started.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.simulation.scene import RandomStream, Scene, generator

NEWTON_STEPS = 12  # converged after 10, up to periods of 10^6 frames
MAX_ON_PERIOD = 30  # in units of on_frames; the share exp(-30) is cut
# Rows of an activation table: dye, start and end in frames, photons per frame.
_Table = NDArray[np.float64]


def activation_rate(on_share: float, on_frames: float) -> float:
    """Solve for the activation rate that gives a share of emitting dyes.

    P(on at some time of a frame) = 1 - P(off at its start) exp(-k), with P(off) = 1 / (1 + k on_frames).

    Args:
        on_share: share of the dyes that are on at some time of a frame, below 1.
        on_frames: mean length of an on-period.

    Returns:
        Activations per frame and dye, k.
    """
    if on_share <= 0:
        return 0.0
    log_off = -math.log1p(-on_share)  # the solution for on_frames = 0
    k = 0.0
    # Newton steps on k + log(1 + k on_frames) - log_off, which is concave: from below they never overshoot.
    for _ in range(NEWTON_STEPS):
        k += (log_off - k - math.log1p(k * on_frames)) / (1 + on_frames / (1 + k * on_frames))
    return k


class Blinking:
    """The blinking dyes of a scene. rate: activations per frame and dye."""

    def __init__(self, scene: Scene, dyes: int, rate: float) -> None:
        self.scene, self.dyes, self.rate = scene, dyes, rate
        self.history_frames = math.ceil(MAX_ON_PERIOD * scene.on_frames)
        self._bleached_at: NDArray[Any] | None = None
        if scene.bleaching_half_life_frames is not None:
            life = scene.bleaching_half_life_frames / math.log(2)
            self._bleached_at = life * generator(scene.seed, RandomStream.BLEACHING).standard_exponential(dyes)

    def frames(self, start_frame: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """Yield the emitting dyes of each frame from start_frame on, without end.

        Yields:
            Dyes (N,), ascending, each once; and their photons (N,), proportional to the part of the exposure they
            were on.
        """
        before = range(start_frame - self.history_frames, start_frame)
        on = _ending_after(start_frame, _restart_overlapping(np.hstack([self._activations(k) for k in before])))
        frame = start_frame
        while True:
            on = _restart_overlapping(np.hstack([on, self._activations(frame)]))
            dye, start, end, photons = on
            exposed = np.minimum(end, frame + 1) - np.maximum(start, frame)
            lit = exposed > 0
            yield _merge(dye[lit].astype(np.intp), (photons * exposed)[lit])
            frame += 1
            on = _ending_after(frame, on)

    def _activations(self, frame: int) -> _Table:
        """Draw the activations (4, N) that begin in a frame."""
        scene, rng = self.scene, generator(self.scene.seed, RandomStream.BLINKING, frame)
        count = int(rng.poisson(self.rate * self.dyes))
        dye = rng.integers(self.dyes, size=count)
        start = frame + rng.random(count)
        end = start + np.minimum(scene.on_frames * rng.standard_exponential(count), self.history_frames)
        table = np.stack([dye.astype(float), start, end, self._brightness(rng, count)])
        if self._bleached_at is None:
            return table
        table[2] = np.minimum(end, self._bleached_at[dye])
        return table[:, table[2] > start]

    def _brightness(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Draw photons per frame (N,), mean scene.photons."""
        if self.scene.photon_spread == "exponential":
            return self.scene.photons * rng.standard_exponential(count)
        spread = self.scene.photon_spread_relative
        drawn: NDArray[np.float64] = self.scene.photons * np.exp(spread * rng.standard_normal(count) - spread**2 / 2)
        return drawn


def _restart_overlapping(table: _Table) -> _Table:
    """Sort by dye and start; a dye's next on-period ends the one before."""
    table = table[:, np.lexsort((table[1], table[0]))]
    again = np.flatnonzero(table[0, 1:] == table[0, :-1])
    table[2, again] = np.minimum(table[2, again], table[1, again + 1])
    return table


def _ending_after(time_frames: int, table: _Table) -> _Table:
    return table[:, table[2] > time_frames]


def _merge(dye: NDArray[np.intp], photons: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Sum the photons of equal dyes, which are neighbours."""
    if not dye.size:
        return dye, photons
    first = np.flatnonzero(np.concatenate([[True], dye[1:] != dye[:-1]]))
    return dye[first], np.add.reduceat(photons, first)
