"""`python -m benchmarks.dense`: ADCG and ours on one dense movie.

Localizations are scored. Both get the same frames, PSF and camera; ADCG also the background of the other baselines,
and sees every frame alone.
"""

from __future__ import annotations

import time

import click
import numpy as np
import torch

from benchmarks.given_optics import localized, reconstruct_given
from selfstorm.baselines.adcg import MIN_GAIN_NATS, PixelPsf, adcg
from selfstorm.baselines.classical import MIN_PHOTONS, smooth_background
from selfstorm.commands.console import run
from selfstorm.frames import Array
from selfstorm.metrics.ground_truth import score_localizations
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene
from selfstorm.stream.processing_level import Quality

QUALITIES: tuple[Quality, ...] = "fast", "best"


def score_text(name: str, rows: Array, true: Array, seconds: float) -> str:
    """Write the scores of localizations (N, 3 or more) in a line."""
    score = score_localizations(rows, true)
    parts = f"precision {score.precision:.2f}, recall {score.recall:.2f}, RMSE {score.rmse_nm:.0f} nm"
    return f"{name}: J {score.jaccard:.3f}, {parts}, {len(rows)} of {len(true)}, {seconds:.0f} s"


def localized_by_adcg(photons: Array, scene: Scene, min_gain_nats: float) -> Array:
    """Localize every frame (T, H, W) alone: rows of frame, y_nm, x_nm."""
    optics = PixelPsf(scene.psf(), scene.pixel_nm, scene.shape)
    background = smooth_background(torch.from_numpy(photons)).clamp(min=MIN_PHOTONS).numpy().astype(float)
    tables = [adcg(frame.clip(0).astype(float), background, optics, min_gain_nats) for frame in photons]
    return np.concatenate([np.column_stack([np.full(len(rows), n), rows]) for n, rows in enumerate(tables)])


@click.command()
@click.option("--density", type=click.FloatRange(0.01, 100), default=5.0, show_default=True, help="Per square micron.")
@click.option("--photons", type=click.FloatRange(1, 1e6), default=800.0, show_default=True, help="Of an emitter.")
@click.option("--side", type=click.IntRange(16), default=32, show_default=True, help="Pixels.")
@click.option("--frames", type=click.IntRange(8), default=60, show_default=True)
@click.option("--min-gain", type=click.FloatRange(0), default=MIN_GAIN_NATS, show_default=True, help="ADCG's, in nats.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def main(density: float, photons: float, side: int, frames: int, min_gain: float, seed: int) -> None:
    """Score localizations of a dense movie, ours and ADCG's."""
    scene = Scene(height=side, width=side, density=density, photons=photons, seed=seed)
    shots = [shot for shot, _ in zip(Movie(scene).frames(), range(frames), strict=False)]
    raw, true = np.stack([pixels for pixels, _ in shots]), np.concatenate([rows for _, rows in shots])[:, :3]
    for quality in QUALITIES:
        start = time.perf_counter()
        made = reconstruct_given(raw, scene, Gaussian(scene.psf_sigma_nm), quality, scale=4)
        click.echo(score_text(quality, localized(made), true, time.perf_counter() - start))
    start = time.perf_counter()
    measured = ((raw - scene.offset_adu) / scene.gain_adu_per_electron).astype(np.float32)
    rows = localized_by_adcg(measured, scene, min_gain)
    click.echo(score_text("ADCG", rows[:, :3], true, time.perf_counter() - start))


if __name__ == "__main__":
    run(main)
