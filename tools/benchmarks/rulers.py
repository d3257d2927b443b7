"""`python -m benchmarks.rulers`: smallest distance that pictures resolve.

Simulated rulers at rest, PSF and camera given. Two lines are resolved where the valley between them is at most .735 of
the lower peak, Rayleigh's saddle of two points. Each pair is judged by its own profile, summed along its length;
crossings by the mean of all, in bands of their distance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import click
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from benchmarks.given_optics import claimed_resolution, first_frames, reconstruct_given
from selfstorm.api import Result
from selfstorm.commands.console import run
from selfstorm.frames import Array
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.rulers import LINE_NM, RING_CORNERS, Rulers, turns
from selfstorm.simulation.scene import Scene
from selfstorm.stream.processing_level import Quality

Floats = NDArray[np.float64]
SIDE_PX, FRAMES = 48, 400
RAYLEIGH_SADDLE = 0.735
SPACINGS_NM = (30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 120.0)
RING_NM, CROSSING_NM = 107.0, 240.0
STEP_NM, END_NM = 2.5, 50.0  # of profiles; left out at both ends of a line
BAND_NM = 20.0  # of a crossing's distance


def reconstruct(scene: Scene, frames: int, quality: Quality) -> tuple[Result, Rulers]:
    """Reconstruct a movie of rulers."""
    movie = Movie(scene)
    made = reconstruct_given(first_frames(movie, frames), scene, Gaussian(scene.psf_sigma_nm), quality)
    return made, Rulers(scene, movie.structure.margin_nm)


def sampled(picture: Array, cell_nm: float, rulers: Rulers, across_nm: Floats, along_nm: Floats) -> Floats:
    """Sample the picture in the rulers' own coordinates.

    Args:
        picture: (H, W).
        cell_nm: its cells.
        rulers: the R rulers; those that reach over the field's edge are left out.
        across_nm: (A,), or broadcast with along_nm.
        along_nm: (S,) likewise.

    Returns:
        (R', ...) of the broadcast shape.
    """
    own = np.stack(np.broadcast_arrays(across_nm, along_nm), -1)
    at = rulers.centres_nm[:, None] + np.einsum("rij,nj->rni", turns(rulers.angles_rad), own.reshape(-1, 2))
    inside = ((at > 0) & (at < np.array(picture.shape) * cell_nm)).all((1, 2))
    cells = np.moveaxis(at[inside] / cell_nm - 0.5, -1, 0)
    values = map_coordinates(picture.astype(float), cells, order=1, mode="nearest")
    return np.asarray(values.reshape(int(inside.sum()), *own.shape[:-1]))


def saddle(profile: Floats, across_nm: Floats, distance_nm: float) -> float:
    """Divide the valley of a profile (A,) by its lower peak."""

    def highest(side: int) -> float:
        near = np.abs(side * across_nm - distance_nm / 2) <= distance_nm / 4
        return float(profile[near].max())

    valley = float(profile[np.abs(across_nm) <= distance_nm / 4].min())
    return valley / max(min(highest(-1), highest(1)), 1e-12)


def line_saddles(picture: Array, cell_nm: float, rulers: Rulers, distance_nm: float) -> Floats:
    """Measure the saddles (R,) of all pairs of lines."""
    across = np.arange(-distance_nm, distance_nm + STEP_NM, STEP_NM)
    along = np.arange(END_NM - LINE_NM / 2, LINE_NM / 2 - END_NM, cell_nm)
    profiles = sampled(picture, cell_nm, rulers, across[:, None], along).sum(-1)
    return np.array([saddle(profile, across, distance_nm) for profile in profiles])


def crossing_saddles(picture: Array, cell_nm: float, rulers: Rulers) -> Iterator[tuple[float, float]]:
    """Yield distance in nm and mean saddle, of bands from the ends inwards."""
    along = np.arange(END_NM - LINE_NM / 2, LINE_NM / 2 - END_NM, cell_nm)
    distance = CROSSING_NM * np.abs(along) / (LINE_NM / 2)
    across = np.arange(-CROSSING_NM, CROSSING_NM + STEP_NM, STEP_NM)
    profiles = sampled(picture, cell_nm, rulers, across[:, None], along).sum(0)
    for low in np.arange(SPACINGS_NM[-1], 0, -BAND_NM):
        band = (distance >= low) & (distance < low + BAND_NM)
        yield low, saddle(profiles[:, band].sum(-1), across, low + BAND_NM / 2)


def ring_saddles(picture: Array, cell_nm: float, rulers: Rulers, diameter_nm: float) -> tuple[Floats, float]:
    """Measure the rings' holes, and their corners.

    Returns:
        (R,) light in the middle over that of the ring; and, for the mean of all rings, light between corners over
        that at them.
    """
    angle = np.arange(16 * RING_CORNERS) * 2 * np.pi / (16 * RING_CORNERS)
    ring = np.stack([np.sin(angle), np.cos(angle)]) * diameter_nm / 2
    across, along = np.append(ring, np.zeros((2, 1)), axis=1)
    light = sampled(picture, cell_nm, rulers, across, along)
    middle, around = light[:, -1], light[:, :-1]
    near_corner = around.mean(0).reshape(RING_CORNERS, 16).mean(0)
    between = float(near_corner[7:10].mean() / near_corner[[15, 0, 1]].mean())
    return middle / np.maximum(around.mean(1), 1e-12), between


def smallest(distances_nm: Floats, resolved: NDArray[np.bool_]) -> str:
    """Name the distance from which on all are resolved."""
    failed = np.flatnonzero(~resolved)
    kept = distances_nm[failed[-1] + 1 :] if len(failed) else distances_nm
    return f"smallest distance resolved: {kept[0]:.0f} nm" if len(kept) else "none is resolved"


def measure_lines(scene: Scene, frames: int, quality: Quality) -> Iterator[str]:
    """Reconstruct pairs of lines at every distance."""
    shares = []
    for distance in SPACINGS_NM:
        made, rulers = reconstruct(replace(scene, structure="lines", ruler_nm=distance), frames, quality)
        ratios = line_saddles(made.picture, made.pixel_nm, rulers, distance)
        resolved = ratios <= RAYLEIGH_SADDLE
        shares.append(resolved.mean())
        pairs = f"{resolved.sum()} of {len(ratios)} pairs (valley {np.median(ratios):.2f})"
        yield f"{distance:.0f} nm apart: {pairs}; claims {claimed_resolution(made)}"
    yield smallest(np.array(SPACINGS_NM), np.array(shares) > 0.5)


def measure_depth(scene: Scene, frames: int, quality: Quality) -> Iterator[str]:
    """Reconstruct pairs of lines among others out of focus."""
    yield from measure_lines(replace(scene, haze_density=1.5, haze_photons=800.0, haze_blur_nm=200.0), frames, quality)


def measure_crossings(scene: Scene, frames: int, quality: Quality) -> Iterator[str]:
    """Reconstruct crossings, and measure them along their length."""
    made, rulers = reconstruct(replace(scene, structure="crossings", ruler_nm=CROSSING_NM), frames, quality)
    bands = np.array(list(crossing_saddles(made.picture, made.pixel_nm, rulers)))[::-1]
    for low, ratio in bands:
        yield f"{low:.0f} to {low + BAND_NM:.0f} nm apart: valley {ratio:.2f}"
    yield f"{smallest(bands[:, 0], bands[:, 1] <= RAYLEIGH_SADDLE)}; claims {claimed_resolution(made)}"


def measure_rings(scene: Scene, frames: int, quality: Quality) -> Iterator[str]:
    """Reconstruct rings of eight dyes."""
    made, rulers = reconstruct(replace(scene, structure="rings", ruler_nm=RING_NM), frames, quality)
    holes, corners = ring_saddles(made.picture, made.pixel_nm, rulers, RING_NM)
    open_rings = f"{(holes <= RAYLEIGH_SADDLE).sum()} of {len(holes)} are open (middle {np.median(holes):.2f})"
    yield f"rings of {RING_NM:.0f} nm: {open_rings}; between corners {corners:.2f}; claims {claimed_resolution(made)}"


MEASURES = {
    "lines": measure_lines,
    "depth": measure_depth,
    "crossings": measure_crossings,
    "rings": measure_rings,
}


@click.command()
@click.argument("structure", type=click.Choice(list(MEASURES)))
@click.option("--frames", type=click.IntRange(8), default=FRAMES, show_default=True)
@click.option("--density", type=click.FloatRange(0.01, 100), default=1.5, show_default=True, help="Per square micron.")
@click.option("--quality", type=click.Choice(["best", "fast"]), default="fast", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def main(structure: str, frames: int, density: float, quality: Quality, seed: int) -> None:
    """Measure which distances of rulers are resolved.

    'depth' are lines among others 200 nm wide, out of focus.
    """
    scene = Scene(height=SIDE_PX, width=SIDE_PX, density=density, seed=seed)
    for line in MEASURES[structure](scene, frames, quality):
        click.echo(line)


if __name__ == "__main__":
    run(main)
