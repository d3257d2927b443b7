"""Two-state blinking of many dyes, one frame after the other, from any frame on.

Each dye is a Markov process in continuous time: off -> on at the rate k (a Poisson process), on -> off after
a time of mean `on_frames`. Activations are drawn frame by frame for all dyes together; one that meets a dye
already on starts its on-time anew, which changes nothing for a process without memory. So the state at a time
follows from the activations of the last MEMORY * on_frames frames, and no frame depends on where a movie was
entered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.simulation.scene import Scene, Stream, generator

NEWTON_STEPS = 12  # after 10 nothing changes, up to periods of 10^6 frames
MEMORY = 30  # longest on-period in on_frames: exp(-30) of them are cut
# Activations as rows: dye, start and end in frames, photons per frame.
_Table = NDArray[np.float64]


def activation_rate(seen_share: float, on_frames: float) -> float:
    """Activations per frame and dye for which a share seen_share of the dyes is on at some time of a frame.

    P(on at some time of a frame) = 1 - P(off at its start) exp(-k), with P(off) = 1 / (1 + k on_frames).
    """
    if seen_share <= 0:
        return 0.0
    most = -math.log1p(-seen_share)  # the answer for on_frames = 0
    k = 0.0
    for _ in range(NEWTON_STEPS):  # of k + log(1 + k on_frames) - most, which is concave: from below, never too far
        k += (most - k - math.log1p(k * on_frames)) / (1 + on_frames / (1 + k * on_frames))
    return k


class Blinking:
    """The dyes of a scene. rate: activations per frame and dye."""

    def __init__(self, scene: Scene, dyes: int, rate: float) -> None:
        self.scene, self.dyes, self.rate = scene, dyes, rate
        self.memory_frames = math.ceil(MEMORY * scene.on_frames)
        self._bleached_at: NDArray[Any] | None = None
        if scene.bleaching_half_life_frames is not None:
            life = scene.bleaching_half_life_frames / math.log(2)
            self._bleached_at = life * generator(scene.seed, Stream.BLEACHING).standard_exponential(dyes)

    def frames(self, start_frame: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """For each frame from start_frame on, the dyes (N,) that shine in it and their photons (N,).

        Without end. Photons are proportional to the part of the exposure spent on. Dyes ascend, each once.
        """
        before = range(start_frame - self.memory_frames, start_frame)
        on = _ending_after(start_frame, _latest_wins(np.hstack([self._activations(k) for k in before])))
        frame = start_frame
        while True:
            on = _latest_wins(np.hstack([on, self._activations(frame)]))
            dye, start, end, photons = on
            exposed = np.minimum(end, frame + 1) - np.maximum(start, frame)
            seen = exposed > 0
            yield _merge(dye[seen].astype(np.intp), (photons * exposed)[seen])
            frame += 1
            on = _ending_after(frame, on)

    def _activations(self, frame: int) -> _Table:
        """(4, N) that begin in this frame."""
        scene, rng = self.scene, generator(self.scene.seed, Stream.BLINKING, frame)
        count = int(rng.poisson(self.rate * self.dyes))
        dye = rng.integers(self.dyes, size=count)
        start = frame + rng.random(count)
        end = start + np.minimum(scene.on_frames * rng.standard_exponential(count), self.memory_frames)
        table = np.stack([dye.astype(float), start, end, self._brightness(rng, count)])
        if self._bleached_at is None:
            return table
        table[2] = np.minimum(end, self._bleached_at[dye])
        return table[:, table[2] > start]

    def _brightness(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """(N,) photons per frame, mean scene.photons."""
        if self.scene.photon_spread == "exponential":
            return self.scene.photons * rng.standard_exponential(count)
        spread = self.scene.photon_spread_relative
        drawn: NDArray[np.float64] = self.scene.photons * np.exp(spread * rng.standard_normal(count) - spread**2 / 2)
        return drawn


def _latest_wins(table: _Table) -> _Table:
    """Sorted by dye and start; an on-period ends at the latest where the dye's next one starts."""
    table = table[:, np.lexsort((table[1], table[0]))]
    again = np.flatnonzero(table[0, 1:] == table[0, :-1])
    table[2, again] = np.minimum(table[2, again], table[1, again + 1])
    return table


def _ending_after(time_frames: int, table: _Table) -> _Table:
    return table[:, table[2] > time_frames]


def _merge(dye: NDArray[np.intp], photons: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Add up the photons of equal dyes, which are neighbours."""
    if not dye.size:
        return dye, photons
    first = np.flatnonzero(np.concatenate([[True], dye[1:] != dye[:-1]]))
    return dye[first], np.add.reduceat(photons, first)
