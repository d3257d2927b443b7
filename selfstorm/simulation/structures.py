"""Moving filaments: labelled tubes that bend, glide and drift."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from selfstorm.simulation.scene import RandomStream, Scene, check_sites, generator

Floats = NDArray[np.float64]
_KNOT_NM = 20.0  # spacing of the points of a filament's shape, straight in between (error < 0.1 nm)
_TURNS_RAD = 0.3  # amplitude of each of the waves that make a filament's direction
_TURN_LENGTH_NM = (4_000.0, 20_000.0)
_GLIDE_NM = 400.0  # amplitude of the motion of a filament as a whole
_BEND_NM = 130.0  # amplitude of each bending wave
_BENDS = 3
_BEND_LENGTH_NM = (3_000.0, 9_000.0)
_TURN_RADIUS_NM = 80.0
_PULSE_FRAMES = 400.0  # from rest to rest
_PAUSE_FRAMES = 100.0  # of motion, then as many of rest


class Structure(Protocol):
    """Dyes of a scene.

    Attributes:
        margin_nm: by which they surround the field.
        sites: number of dyes.
    """

    margin_nm: float
    sites: int

    def positions_nm(self, sites: NDArray[Any], time_frames: float) -> Floats:
        """Compute the positions (N, 2) of sites, (y, x) in nm."""


class Filaments:
    """Dyes at fixed sites of moving filaments.

    The filaments live on a torus: the field and a margin_nm on all sides. What leaves on one side returns on
    the other, so a movie may drift without end, and emitters as dense as those in the field surround it.
    Motion 'bending': every filament moves by a sum of waves a sin(w t + k s + phase) along its length s, one with k = 0
    (the glide) and three bending ones, each in its own direction, so that its velocity is smooth in time and along
    its length. Half of the mean square speed is in the glide. The other motions glide alone (`_glide_nm`).
    """

    def __init__(self, scene: Scene, margin_nm: float) -> None:
        self.margin_nm = margin_nm
        self.drift_nm_per_frame = np.asarray(scene.drift_nm_per_frame, float)
        self.world_nm = np.asarray(scene.field_nm) + 2 * margin_nm
        self.spacing_nm = scene.site_spacing_nm
        length_nm = 1.2 * math.sqrt(float(self.world_nm.prod()))
        self.sites_each = max(2, int(length_nm / self.spacing_nm))
        self.sites = self.sites_each * scene.filaments
        check_sites(self.sites, "filaments", "give fewer filaments, a larger site_spacing_nm or a smaller field")
        rng = generator(scene.seed, RandomStream.STRUCTURE)
        self._knots_nm = _curves(rng, scene.filaments, self.sites_each * self.spacing_nm)
        self._knots_nm += (rng.random((scene.filaments, 2)) * scene.field_nm)[:, None, :]
        self._motion, self._speed_nm_per_frame = scene.motion, scene.speed_nm_per_frame
        self._set_motion(rng, scene.filaments, scene.speed_nm_per_frame if scene.motion == "bending" else 0.0)
        angle = rng.random(self.sites, dtype=np.float32) * np.float32(2 * math.pi)
        self._offset_nm = np.float32(scene.thickness_nm / 2) * np.sin(angle)  # projection of a labelled tube

    def positions_nm(self, sites: NDArray[Any], time_frames: float) -> Floats:
        """Compute the positions (N, 2) of sites.

        (y, x) in nm from the corner of the first camera pixel.
        """
        filament, along = np.divmod(sites, self.sites_each)
        s_nm = (along + 0.5) * self.spacing_nm
        phase = (
            self._rate_per_frame[filament] * time_frames
            + self._wave_per_nm[filament] * s_nm[:, None]
            + self._phase[filament]
        )
        moved = np.einsum("nm,nmd->nd", np.sin(phase), self._amplitude_nm[filament])
        if self._motion != "bending":
            moved = moved + self._glide_nm(time_frames)[filament]
        at = self._on_curve(filament, s_nm, self._offset_nm[sites]) + moved + self.drift_nm_per_frame * time_frames
        wrapped: Floats = np.mod(at + self.margin_nm, self.world_nm) - self.margin_nm
        return wrapped

    def _glide_nm(self, time_frames: float) -> Floats:
        """Compute how far each filament glided since time 0, (F, 2) nm.

        Each has a direction of its own; parting ones share an axis.
        """
        speed, heading = self._speed_nm_per_frame, self._phase[:, 0]
        if self._motion == "turning":
            now = heading + speed / _TURN_RADIUS_NM * time_frames
            turned: Floats = np.stack([np.sin(now) - np.sin(heading), np.cos(now) - np.cos(heading)], -1)
            return turned * _TURN_RADIUS_NM
        if self._motion == "pulsing":
            pulse = 2 * math.pi / _PULSE_FRAMES
            way_nm = speed * (time_frames - math.sin(pulse * time_frames) / pulse)
        elif self._motion == "pausing":
            rounds, into = divmod(time_frames, 2 * _PAUSE_FRAMES)
            way_nm = 2 * speed * (rounds * _PAUSE_FRAMES + min(into, _PAUSE_FRAMES))
        else:
            way_nm = speed * time_frames
            heading = self._phase[0, 0] + math.pi * (np.arange(len(heading)) % 2)
        return np.stack([np.sin(heading), np.cos(heading)], -1) * way_nm

    def _set_motion(self, rng: np.random.Generator, filaments: int, speed_nm_per_frame: float) -> None:
        """Draw the waves (F, M) of the filaments' motion, M = glide + bends."""
        shape = filaments, 1 + _BENDS
        size_nm = np.array([_GLIDE_NM] + [_BEND_NM] * _BENDS) * rng.uniform(0.7, 1.3, shape)
        share = np.array([0.5] + [0.5 / _BENDS] * _BENDS)
        # The mean square speed of a sin(w t) is (a w)^2 / 2.
        self._rate_per_frame = speed_nm_per_frame * np.sqrt(2 * share) / size_nm * rng.choice([-1.0, 1.0], shape)
        self._wave_per_nm = 2 * math.pi / rng.uniform(*_BEND_LENGTH_NM, shape)
        self._wave_per_nm[:, 0] = 0
        self._phase = rng.uniform(0, 2 * math.pi, shape)
        direction = rng.uniform(0, 2 * math.pi, shape)
        self._amplitude_nm = np.stack([np.sin(direction), np.cos(direction)], -1) * size_nm[..., None]

    def _on_curve(self, filament: NDArray[Any], s_nm: Floats, offset_nm: NDArray[Any]) -> Floats:
        """Compute points (N, 2) along the filaments at rest.

        Args:
            filament: (N,) index.
            s_nm: (N,) distance along it.
            offset_nm: (N,) distance to its side.
        """
        knot = (s_nm / _KNOT_NM).astype(np.intp)
        start = self._knots_nm[filament, knot]
        step = self._knots_nm[filament, knot + 1] - start
        normal = step[:, ::-1] * [1.0, -1.0] / _KNOT_NM
        at: Floats = start + step * (s_nm / _KNOT_NM - knot)[:, None] + normal * offset_nm[:, None]
        return at


def _curves(rng: np.random.Generator, count: int, length_nm: float) -> Floats:
    """Draw points (F, K, 2) on smoothly turning curves about the origin."""
    knots = math.ceil(length_nm / _KNOT_NM) + 2
    s_nm = np.arange(knots - 1) * _KNOT_NM
    angle = np.repeat(rng.uniform(0, 2 * math.pi, (count, 1)), knots - 1, axis=1)
    for _ in range(3):
        wave_nm = rng.uniform(*_TURN_LENGTH_NM, (count, 1))
        angle += _TURNS_RAD * np.sin(2 * math.pi * (s_nm / wave_nm + rng.random((count, 1))))
    points = np.zeros((count, knots, 2))
    points[:, 1:] = np.cumsum(np.stack([np.sin(angle), np.cos(angle)], -1) * _KNOT_NM, axis=1)
    centred: Floats = points - points[:, knots // 2][:, None]
    return centred
