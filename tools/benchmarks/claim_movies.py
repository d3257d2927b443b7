"""Simulated movies of the benchmark of claims: 22 kinds, two of each.

Ten of the kinds were never used for choosing anything: which is which was written down before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from selfstorm.frames import Array
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene

Role = Literal["tuning", "held out"]
SIDE_PX, FRAMES, MANY_FRAMES = 40, 160, 480


@dataclass(frozen=True, slots=True)
class ClaimMovie:
    """One movie of a kind.

    Attributes:
        kind: Name of the kind.
        role: Whether thresholds were chosen on the kind.
        scene: What is simulated.
        psf_error: Relative error of the PSF's width that the program is given; None where it is given no PSF.
        empty: Nothing in focus is there to be seen.
        frames: Length of the movie.
    """

    kind: str
    role: Role
    scene: Scene
    psf_error: float | None = None
    empty: bool = False
    frames: int = FRAMES

    @property
    def given_psf(self) -> Gaussian | None:
        """The PSF that the program is given."""
        if self.psf_error is None:
            return None
        return Gaussian(self.scene.psf_sigma_nm * (1 + self.psf_error))

    def simulate(self) -> SimulatedClaim:
        """Simulate the movie with its truth."""
        frames = self.frames
        movie = Movie(self.scene)
        shots = [shot for shot, _ in zip(movie.frames(), range(frames), strict=False)]
        dyes = movie.structure.positions_nm(np.arange(movie.structure.sites), frames / 2)
        inside = ((dyes >= 0) & (dyes < self.scene.field_nm)).all(1)
        emitters = np.concatenate([where for _, where in shots])
        return SimulatedClaim(np.stack([pixels for pixels, _ in shots]), emitters, dyes[inside])


@dataclass(frozen=True, slots=True)
class SimulatedClaim:
    """Frames and truth of a movie.

    Attributes:
        frames: (T, H, W) uint16, ADU.
        emitters: (E, 4) frame, y_nm, x_nm, photons of those that shone.
        dyes_nm: (N, 2) positions of all dyes in the middle of the movie.
    """

    frames: Array
    emitters: Array
    dyes_nm: Array


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of movie: two variants of one difficulty."""

    name: str
    role: Role
    variants: tuple[dict[str, Any], dict[str, Any]]
    psf_errors: tuple[float | None, float | None] = (None, None)
    frames: tuple[int, int] = (FRAMES, FRAMES)
    empty: bool = field(default=False)


KINDS = (
    Kind("sparse", "tuning", ({"density": 0.3}, {"density": 0.8})),
    Kind("dense", "tuning", ({"density": 5.0}, {"density": 10.0}), frames=(MANY_FRAMES, FRAMES)),
    Kind("dim", "tuning", ({"photons": 200.0}, {"photons": 100.0})),
    Kind("long on", "tuning", ({"on_frames": 8.0, "density": 8.0}, {"on_frames": 20.0, "density": 15.0})),
    Kind("moving", "tuning", ({"speed_nm_per_frame": 0.5}, {"speed_nm_per_frame": 2.0})),
    Kind("haze", "tuning", ({"haze_density": 1.0}, {"haze_density": 4.0})),
    Kind("PSF too narrow", "tuning", ({}, {}), (-0.2, -0.4)),
    Kind("bleaching", "tuning", ({"bleaching_half_life_frames": 60.0}, {"bleaching_half_life_frames": 20.0})),
    Kind("flat light", "tuning", ({"density": 0.0}, {"density": 0.0, "background_photons": 2.0}), empty=True),
    Kind("standard", "tuning", ({}, {"photons": 1_200.0, "density": 3.0}), frames=(FRAMES, MANY_FRAMES)),
    Kind("ultra-dense", "held out", ({"density": 20.0}, {"density": 30.0})),
    Kind(
        "moderate",
        "held out",
        ({"density": 1.0}, {"density": 4.0, "photons": 500.0}),
        frames=(FRAMES, MANY_FRAMES),
    ),
    Kind(
        "dim and crowded",
        "held out",
        ({"density": 30.0, "photons": 120.0, "on_frames": 8.0}, {"density": 10.0, "photons": 150.0, "on_frames": 5.0}),
    ),
    Kind("short on", "held out", ({"on_frames": 1.0}, {"on_frames": 1.0, "density": 8.0})),
    Kind("drift", "held out", ({"drift_nm_per_frame": (0.5, 0.2)}, {"drift_nm_per_frame": (1.5, 1.0)})),
    Kind(
        "out of focus",
        "held out",
        ({"psf_sigma_nm": 350.0, "photons": 1_500.0}, {"density": 0.0, "haze_density": 3.0, "haze_blur_nm": 400.0}),
        empty=True,
    ),
    Kind("PSF too wide", "held out", ({}, {}), (0.15, 0.4)),
    Kind(
        "bright",
        "held out",
        ({"photons": 2_000.0}, {"photons": 2_000.0, "density": 8.0}),
        frames=(MANY_FRAMES, FRAMES),
    ),
    Kind(
        "read noise",
        "held out",
        ({"density": 0.0, "background_photons": 0.0}, {"density": 0.0, "flicker": 0.1}),
        empty=True,
    ),
    Kind(
        "living cell",
        "held out",
        (
            {"density": 5.0, "flicker": 0.05, "bleaching_half_life_frames": 150.0, "haze_density": 0.5},
            {"density": 3.0, "photons": 400.0, "flicker": 0.1, "haze_density": 2.0, "speed_nm_per_frame": 0.5},
        ),
    ),
    # added when held-out crowds had shown that halves agree too well there
    Kind("crowd", "tuning", ({"density": 14.0}, {"density": 25.0})),
    Kind(
        "dim crowd",
        "tuning",
        ({"density": 20.0, "photons": 250.0, "on_frames": 4.0}, {"density": 25.0, "photons": 150.0, "on_frames": 5.0}),
    ),
)


def claim_movies(seed: int = 0) -> Iterator[ClaimMovie]:
    """List all movies; a seed makes other structures and other noise."""
    for number, kind in enumerate(KINDS):
        for variant, (options, error) in enumerate(zip(kind.variants, kind.psf_errors, strict=True)):
            scene = Scene(height=SIDE_PX, width=SIDE_PX, seed=1_000 * seed + 2 * number + variant, **options)
            yield ClaimMovie(kind.name, kind.role, scene, error, kind.empty, kind.frames[variant])
