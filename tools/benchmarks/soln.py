"""`python -m benchmarks.soln`: the conditions of SolnBenchmark, made anew.

Emitters 20 to 40 nm apart on a spiral are switched by a Markov chain. Localisations are scored by RMSMD, beside
published rows and bounds. The truth of the posted frames is withheld; all parameters are public.

Reference:
    SolnBenchmark, City College of New York: localisation nanoscopy, movies 'MEMF', 2D Airy.
"""

from __future__ import annotations

import click
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.spatial import cKDTree

import selfstorm
from selfstorm.commands.console import run
from selfstorm.frames import Array
from selfstorm.psf.models import Airy
from selfstorm.simulation.movie import AiryPsf, place

Floats = NDArray[np.float64]

NA, WAVELENGTH_NM, PIXEL_NM, SIDE_PX = 1.43, 665.0, 128.0, 32
EMITTERS, PHOTONS = 500, 9_000.0  # a frame
BACKGROUND_PHOTONS, OFFSET_PHOTONS, READ_VARIANCE = 819.0, 819.0, 491.0
STAYS_ON = (0.5, 0.3, 0.2)  # after one, two and three frames; never after four
ACTIVE_SHARE = {10: 0.4, 100: 0.12}  # of the emitters in a frame, by the movie's length
# RMSMD in nm, by frames and distance of neighbours in nm.
BOUND = {10: {40: 4.4, 30: 5.2, 20: 10.9}, 100: {40: 3.1, 30: 3.0, 20: 3.5}}
BEST_PUBLISHED = {10: {40: 28.1, 30: 27.7, 20: 28.3}, 100: {40: 13.9, 30: 12.9, 20: 14.5}}


def spiral_nm(spacing_nm: float, rng: np.random.Generator) -> Floats:
    """Place emitters on a spiral around the middle: (500, 2) y, x in nm."""
    pitch = rng.uniform(7.0, 7.5)
    t = np.empty(EMITTERS)
    t[0] = spacing_nm / pitch

    def at(t: float) -> Floats:
        return pitch * t * np.array([np.sin(0.1 * t), np.cos(0.1 * t)])

    for k in range(1, EMITTERS):
        before = at(t[k - 1])
        t[k] = brentq(lambda s, before=before: np.hypot(*(at(s) - before)) - spacing_nm, t[k - 1], t[k - 1] + 40)
    points = np.array([at(one) for one in t])
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray((points - points.mean(0)) @ turn + SIDE_PX * PIXEL_NM / 2)


def active_frames(frames: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Switch the emitters by the Markov chain: (frames, 500)."""
    mean_on = 1 + np.cumprod(STAYS_ON).sum()
    share = ACTIVE_SHARE[frames]
    activation = share / (mean_on * (1 - share))
    age = np.zeros(EMITTERS, int)
    active = np.empty((frames, EMITTERS), bool)
    stays = np.array([0.0, *STAYS_ON, 0.0])
    for frame in range(-50, frames):  # from a start that is forgotten
        on = rng.random(EMITTERS) < np.where(age > 0, stays[age], activation)
        age = np.where(on, age + 1, 0)
        if frame >= 0:
            active[frame] = on
    return active


def movie(frames: int, spacing_nm: float, seed: int) -> tuple[Array, Floats]:
    """Make a movie: (T, H, W) uint16 photons, and the emitters that shone."""
    rng = np.random.default_rng(seed)
    where, active = spiral_nm(spacing_nm, rng), active_frames(frames, rng)
    psf = AiryPsf(NA, WAVELENGTH_NM)
    shots = []
    for on in active:
        light = place(
            where[on, 0], where[on, 1], np.full(on.sum(), PHOTONS), (SIDE_PX, SIDE_PX), psf=psf, pixel_nm=PIXEL_NM
        )
        electrons = rng.poisson(light + BACKGROUND_PHOTONS) + rng.normal(0, READ_VARIANCE**0.5, light.shape)
        shots.append(np.clip(np.rint(electrons + OFFSET_PHOTONS), 0, 65_535).astype(np.uint16))
    return np.stack(shots), where[active.any(0)]


def rmsmd_nm(found: Floats, true: Floats) -> float:
    """Return the root mean square minimum distance of two sets of points."""
    near_true = cKDTree(true).query(found)[0] if len(found) else np.full(1, np.inf)
    near_found = cKDTree(found).query(true)[0] if len(found) else np.full(1, np.inf)
    return float(np.sqrt(np.square(np.concatenate([near_true, near_found])).mean()))


@click.command()
@click.option("--frames", type=click.Choice([str(n) for n in ACTIVE_SHARE]), default="10", show_default=True)
@click.option("--spacings", default="40,30,20", show_default=True, metavar="NM", help="Distances of neighbours.")
@click.option("--seed", type=int, default=1, show_default=True)
def main(frames: str, spacings: str, seed: int) -> None:
    """Score localisations on spirals of emitters."""
    length = int(frames)
    click.echo(f"{length} frames, seed {seed}: RMSMD in nm | ours | best published | bound")
    for spacing in (int(text) for text in spacings.split(",")):
        raw, true = movie(length, spacing, seed)
        made = selfstorm.reconstruct(
            raw,
            PIXEL_NM,
            psf=Airy(NA, WAVELENGTH_NM),
            offset_adu=OFFSET_PHOTONS,
            gain_adu_per_electron=1.0,
            scale=4,
            tuning_steps=0,
            device="cpu",
        )
        found = made.localizations
        points = np.empty((0, 2)) if found is None else np.stack([found["y_nm"], found["x_nm"]], 1)
        published, bound = BEST_PUBLISHED[length].get(spacing), BOUND[length].get(spacing)
        counts = f"{spacing} nm apart: {len(points)} localisations, {len(true)} emitters"
        click.echo(f"{counts} | {rmsmd_nm(points, true):.1f} | {published} | {bound}")


if __name__ == "__main__":
    run(main)
