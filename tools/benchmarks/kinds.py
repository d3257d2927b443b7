"""`python -m benchmarks.kinds`: pictures of light that misleads.

Small simulated movies, each with one difficulty that real recordings have: optics and camera are given, the picture is
scored beside the emitters that shone, where the sample lies in the last frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.given_optics import claimed_resolution, first_frames, localized, reconstruct_given
from selfstorm.commands.console import run
from selfstorm.frames import Array
from selfstorm.metrics.ground_truth import score_localizations, score_picture
from selfstorm.metrics.verdict import verdict
from selfstorm.psf.models import Airy
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene
from selfstorm.simulation.spots import AberratedPsf, place
from selfstorm.stream.processing_level import Quality

Floats = NDArray[np.float64]
NA, WAVELENGTH_NM, SIDE_PX, FRAMES, DENSITY = 1.4, 670.0, 40, 300, 5.0
ASTIGMATISM_RAD = 0.9  # at the right side of the field
DARK_PHOTONS, BRIGHT_PHOTONS, EDGE_PX = 15.0, 150.0, 0.5  # background beside a cell and under it
SATURATED_SHARE = 0.035


class BeamMovie(Movie):
    """A movie under a Gaussian beam, its 1/e^2 radius half the field's width."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        y, x = np.mgrid[: scene.height, : scene.width] + 0.5
        self.background_photons = self.background_photons * self._beam(np.stack([y, x], -1) * scene.pixel_nm)

    def spots(self, yx_nm: Floats, photons: Floats) -> Floats:
        """Compute the light (H, W) of emitters, dimmer away from the middle."""
        return super().spots(yx_nm, photons * self._beam(yx_nm))

    def _beam(self, yx_nm: Floats) -> Floats:
        middle, radius_nm = np.array(self.scene.field_nm) / 2, self.scene.field_nm[1] / 2
        return np.asarray(np.exp(-2 * ((yx_nm - middle) ** 2).sum(-1) / radius_nm**2))


class VaryingPsfMovie(Movie):
    """A movie whose PSF grows astigmatic from left to right."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._astigmatic = AberratedPsf(NA, WAVELENGTH_NM, astigmatism_rad=ASTIGMATISM_RAD)

    def spots(self, yx_nm: Floats, photons: Floats) -> Floats:
        """Compute the light (H, W) of emitters, each a mixture of two PSFs."""
        (y_nm, x_nm), scene = yx_nm.T, self.scene
        right = np.clip(x_nm / scene.field_nm[1], 0, 1)
        there = place(y_nm, x_nm, photons * right, scene.shape, psf=self._astigmatic, pixel_nm=scene.pixel_nm)
        return super().spots(yx_nm, photons * (1 - right)) + there


class EdgeMovie(Movie):
    """A movie across the edge of a cell ten times as bright as beside it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        angle = np.random.default_rng(scene.seed).uniform(0, 2 * np.pi)
        y, x = np.mgrid[: scene.height, : scene.width] + 0.5
        inside_px = (y - scene.height / 2) * np.sin(angle) + (x - scene.width / 2) * np.cos(angle)
        rise = 1 / (1 + np.exp(-inside_px / EDGE_PX))
        self.background_photons = DARK_PHOTONS + (BRIGHT_PHOTONS - DARK_PHOTONS) * rise


@dataclass(frozen=True, slots=True)
class LightKind:
    """A kind of movie.

    Attributes:
        scene: options of the simulated scene.
        movie: class that films it.
        frames: length of the movie.
        saturated_share: of the values, which read the camera's top.
    """

    scene: Mapping[str, Any] = field(default_factory=dict)
    movie: type[Movie] = Movie
    frames: int = FRAMES
    saturated_share: float = 0.0


KINDS = {
    "plain": LightKind(),
    "drifting": LightKind({"drift_nm_per_frame": (0.5, 0.3)}),
    "beam": LightKind({"height": 96, "width": 200}, BeamMovie, 100),
    "pixels-160": LightKind({"pixel_nm": 160.0}),
    "saturated": LightKind(saturated_share=SATURATED_SHARE),
    "depth": LightKind({"haze_density": 2.0, "haze_photons": 800.0, "haze_blur_nm": 200.0}),
    "edge": LightKind(movie=EdgeMovie),
    "varying-psf": LightKind(movie=VaryingPsfMovie),
}


def filmed(kind: LightKind, seed: int) -> tuple[Movie, Array]:
    """Film a kind of movie: itself and its frames (T, H, W) in ADU."""
    options: dict[str, Any] = {"height": SIDE_PX, "width": SIDE_PX, "density": DENSITY, **kind.scene}
    movie = kind.movie(Scene(na=NA, wavelength_nm=WAVELENGTH_NM, seed=seed, **options))
    raw = first_frames(movie, kind.frames)
    top = np.quantile(raw, 1 - kind.saturated_share, method="lower")
    return movie, np.minimum(raw, top.astype(raw.dtype))


def scored(name: str, seed: int, quality: Quality) -> str:
    """Reconstruct a movie of a kind, and write its scores in a line."""
    kind = KINDS[name]
    movie, raw = filmed(kind, seed)
    made = reconstruct_given(raw, movie.scene, Airy(NA, WAVELENGTH_NM), quality)
    lying = movie.emitters_moved_to(kind.frames - 1, 0, kind.frames)
    shone = np.concatenate([rows for rows, _ in zip(movie.emitters(), range(kind.frames), strict=False)])
    score = score_picture(made.picture, lying[:, 1:3], made.pixel_nm)
    rows = localized(made)
    jaccard = score_localizations(rows, shone[:, :3]).jaccard
    judged = verdict(made.metrics)
    said = "" if judged is None else f", verdict: {judged.value}"
    measured = f"Pearson {score.pearson:.3f}, FRC {score.gt_frc_nm:.0f} nm, J {jaccard:.2f} of {len(rows)}"
    return f"{name}, seed {seed}: {measured}; claims {claimed_resolution(made)}{said}"


@click.command()
@click.argument("kinds", type=click.Choice(list(KINDS)), nargs=-1, required=True)
@click.option("--quality", type=click.Choice(["best", "fast"]), default="fast", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def main(kinds: tuple[str, ...], quality: Quality, seed: int) -> None:
    """Score pictures of movies of some KINDS."""
    for name in kinds:
        click.echo(scored(name, seed, quality))


if __name__ == "__main__":
    run(main)
