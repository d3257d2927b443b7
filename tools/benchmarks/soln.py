"""`python -m benchmarks.soln`: the conditions of SolnBenchmark, made anew.

Emitters 20 to 40 nm apart on a spiral are switched by a Markov chain; or emitters lie at random, others in every
frame. Localizations are scored by RMSMD, beside published rows and bounds: all of them, and emitters linked from two
frames or more. The truth of the posted frames is withheld; all parameters are public.

Reference:
    SolnBenchmark, City College of New York: localization nanoscopy, movies 'MEMF', 2D Airy.
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
from selfstorm.stages.linking import link, link_radius_nm

Floats = NDArray[np.float64]

NA, WAVELENGTH_NM, PIXEL_NM, SIDE_PX = 1.43, 665.0, 128.0, 32
EMITTERS, PHOTONS = 500, 9_000.0  # a frame
BACKGROUND_PHOTONS, OFFSET_PHOTONS, READ_VARIANCE = 819.0, 819.0, 491.0
STAYS_ON = (0.5, 0.3, 0.2)  # after one, two and three frames; never after four
ACTIVE_SHARE = {10: 0.4, 100: 0.12}  # of the emitters in a frame, by the movie's length
SINGLE_PIXEL_NM, SINGLE_PHOTONS, SINGLE_BACKGROUND, SINGLE_READ_VARIANCE = 100.0, 3_000.0, 500.0, 300.0
SINGLE_FRAMES = 20
MAX_DARK = 5  # frames between two of an emitter
# RMSMD in nm, by frames and distance of neighbours in nm.
BOUND = {10: {40: 4.4, 30: 5.2, 20: 10.9}, 100: {40: 3.1, 30: 3.0, 20: 3.5}}
SINGLE_BOUND = {0.5: 8.9, 1: 9.7, 2: 13.5, 4: 18.3, 8: 24.9}  # by emitters per square micron
SINGLE_BEST_PUBLISHED = {0.5: 51, 1: 51, 2: 54, 4: 56, 8: 61}
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
    positions = [where[on] for on in active]
    return shots(positions, PHOTONS, PIXEL_NM, BACKGROUND_PHOTONS, READ_VARIANCE, rng), where[active.any(0)]


def single_frames(density: float, seed: int) -> tuple[Array, list[Floats]]:
    """Make frames that share no emitter: (T, H, W), and the emitters of each.

    Args:
        density: emitters per square micron.
        seed: of positions and noise.
    """
    rng = np.random.default_rng(seed)
    side_nm = SIDE_PX * SINGLE_PIXEL_NM
    emitters = round(density * (side_nm / 1_000) ** 2)
    where = [rng.uniform(0, side_nm, (emitters, 2)) for _ in range(SINGLE_FRAMES)]
    return shots(where, SINGLE_PHOTONS, SINGLE_PIXEL_NM, SINGLE_BACKGROUND, SINGLE_READ_VARIANCE, rng), where


def shots(
    where: list[Floats],
    photons: float,
    pixel_nm: float,
    background: float,
    read_variance: float,
    rng: np.random.Generator,
) -> Array:
    """Expose frames (T, H, W) to emitters (N, 2) each, in uint16 photons."""
    psf = AiryPsf(NA, WAVELENGTH_NM)
    frames = []
    for yx in where:
        light = place(yx[:, 0], yx[:, 1], np.full(len(yx), photons), (SIDE_PX, SIDE_PX), psf=psf, pixel_nm=pixel_nm)
        electrons = rng.poisson(light + background) + rng.normal(0, read_variance**0.5, light.shape)
        frames.append(np.clip(np.rint(electrons + OFFSET_PHOTONS), 0, 65_535).astype(np.uint16))
    return np.stack(frames)


def localized(raw: Array, pixel_nm: float) -> Array:
    """Localize emitters, optics and camera given: a table of `Result`."""
    made = selfstorm.reconstruct(
        raw,
        pixel_nm,
        psf=Airy(NA, WAVELENGTH_NM),
        offset_adu=OFFSET_PHOTONS,
        gain_adu_per_electron=1.0,
        scale=4,
        tuning_steps=0,
        device="cpu",
    )
    return np.empty(0) if made.localizations is None else made.localizations


def positions_nm(found: Array) -> Floats:
    """Return positions (N, 2) of localizations."""
    return np.stack([found["y_nm"], found["x_nm"]], 1) if len(found) else np.empty((0, 2))


def recurring_nm(found: Array, max_dark: int = MAX_DARK) -> Floats:
    """Link localizations; keep emitters that two frames or more show.

    Returns:
        (N, 2) means of their positions, weighted by precision.
    """
    points = positions_nm(found)
    if not len(points):
        return points
    variance = (found["sd_y_nm"] ** 2 + found["sd_x_nm"] ** 2) / 2
    group = link(found["frame"].astype(np.int64), points, link_radius_nm(np.sqrt(variance)), max_dark)
    total = np.bincount(group, 1 / variance)
    means = np.stack([np.bincount(group, axis / variance) / total for axis in points.T], 1)
    return np.asarray(means[np.bincount(group) > 1])


def rmsmd_nm(found: Floats, true: Floats) -> float:
    """Return the root mean square minimum distance of two sets of points."""
    near_true = cKDTree(true).query(found)[0] if len(found) else np.full(1, np.inf)
    near_found = cKDTree(found).query(true)[0] if len(found) else np.full(1, np.inf)
    return float(np.sqrt(np.square(np.concatenate([near_true, near_found])).mean()))


def score_movies(frames: int, spacings_nm: list[int], seed: int) -> None:
    """Print the scores of movies of spirals."""
    click.echo(f"{frames} frames, seed {seed}: RMSMD in nm | ours | linked | best published | bound")
    for spacing in spacings_nm:
        raw, true = movie(frames, spacing, seed)
        found = localized(raw, PIXEL_NM)
        once = recurring_nm(found)
        counts = f"{spacing} nm apart: {len(found)} localizations, {len(once)} linked, {len(true)} emitters"
        ours = f"{rmsmd_nm(positions_nm(found), true):.1f} | {rmsmd_nm(once, true):.1f}"
        click.echo(f"{counts} | {ours} | {BEST_PUBLISHED[frames].get(spacing)} | {BOUND[frames].get(spacing)}")


def score_single_frames(density: float, seed: int) -> None:
    """Print the score of frames that share no emitter."""
    raw, true = single_frames(density, seed)
    found = localized(raw, SINGLE_PIXEL_NM)
    scores = [rmsmd_nm(positions_nm(found[found["frame"] == number]), here) for number, here in enumerate(true)]
    click.echo(
        f"{density:g} per square micron, {SINGLE_FRAMES} frames, seed {seed}: RMSMD in nm | best published | bound"
    )
    found_each = f"{len(found) / SINGLE_FRAMES:.0f} localizations of {len(true[0])} emitters a frame"
    published, bound = SINGLE_BEST_PUBLISHED.get(density), SINGLE_BOUND.get(density)
    click.echo(f"{found_each}: {np.mean(scores):.1f} | {published} | {bound}")


@click.command()
@click.option("--frames", type=click.Choice([str(n) for n in ACTIVE_SHARE]), default="10", show_default=True)
@click.option("--spacings", default="40,30,20", show_default=True, metavar="NM", help="Distances of neighbours.")
@click.option(
    "--single", type=click.FloatRange(0.01), metavar="DENSITY", help="Single frames instead, per square micron."
)
@click.option("--seed", type=int, default=1, show_default=True)
def main(frames: str, spacings: str, single: float | None, seed: int) -> None:
    """Score localizations on spirals of emitters, or in single frames."""
    if single is not None:
        score_single_frames(single, seed)
    else:
        score_movies(int(frames), [int(text) for text in spacings.split(",")], seed)


if __name__ == "__main__":
    run(main)
