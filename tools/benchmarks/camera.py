"""Calibrated cameras: how right the maps are, and what they are worth.

A simulated sCMOS camera with bad pixels and an EMCCD are calibrated from dark frames and levels of even light. The same
movie of a sample at rest, with the same photons, is then recorded by a perfect camera and by each of them, and
reconstructed with the measured maps and without: Pearson correlation and FRC with the truth, and the photons of the
localizations. Frames are added up as they lay: what is decided on motion would differ with the noise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.outputs import prepare_output
from selfstorm.calibration.photon_transfer import EmRegister, PhotonTransfer, photon_transfer
from selfstorm.calibration.pixel_moments import PixelMoments
from selfstorm.commands.console import run
from selfstorm.io.atomic_files import atomic_write
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.physics.camera_maps import CameraCalibration
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.camera import ReadOut
from selfstorm.simulation.movie import Movie
from selfstorm.simulation.scene import Scene
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.settings import Settings

SCALE, NOISE_Z = 8, 10.0
PERFECT: dict[str, Any] = {"offset_variation_adu": 0.0, "gain_variation": 0.0, "read_noise_variation": 0.0}
SCMOS: dict[str, Any] = {"bad_pixel_share": 0.05, "read_noise_variation": 0.5}
EMCCD: dict[str, Any] = {"em_gain": 200.0, "gain_adu_per_electron": 0.08, "read_noise_electrons": 30.0}
LEVELS = {"sCMOS": (50.0, 200.0, 1000.0), "EMCCD": (20.0, 60.0, 150.0)}


@dataclass(frozen=True, slots=True)
class MapErrors:
    """Errors of calibrated maps over the good pixels, in percent.

    Attributes:
        camera: its kind.
        seed: of the camera.
        offset: root mean square, of the offset.
        gain: error of the median gain.
        pixel_gain: root mean square, of each pixel's gain.
        read_noise: error of the median read noise.
        bad_missed: share of the bad pixels that are not found.
        good_lost: share of the good pixels that are called bad.
    """

    camera: str
    seed: int
    offset: float
    gain: float
    pixel_gain: float
    read_noise: float
    bad_missed: float
    good_lost: float


@dataclass(frozen=True, slots=True)
class CameraScore:
    """Score of a picture.

    Attributes:
        recorded: the camera, and what was known of it.
        seed: of the movie.
        pearson: correlation with the truth.
        gt_frc_nm: resolution against the truth.
        photons: median of a localization.
    """

    recorded: str
    seed: int
    pearson: float
    gt_frc_nm: float
    photons: float


def calibrated(kind: str, scene: Scene, frames: int) -> PhotonTransfer:
    """Calibrate a scene's camera from simulated stacks."""
    camera = ReadOut(scene)
    dark, *lights = (PixelMoments.of(camera.even_frames(frames, level)) for level in (0.0, *LEVELS[kind]))
    em = EmRegister.given(scene.em_gain) if scene.em_gain > 1 else None
    return photon_transfer(dark, lights, kind, em)


def map_errors(kind: str, scene: Scene, result: PhotonTransfer) -> MapErrors:
    """Compare calibrated maps with the true ones."""
    maps, true = result.calibration, ReadOut(scene).maps
    bad = true.bad | (true.read_noise_electrons > NOISE_Z * np.median(true.read_noise_electrons))
    good = ~maps.bad & ~bad
    gain = maps.gain_adu_per_electron[good] / (true.gain_adu_per_electron[good] * scene.em_gain) - 1
    noise = maps.read_noise_electrons[good] * scene.em_gain / true.read_noise_electrons[good]
    offset = maps.offset_adu[good] / true.offset_adu[good] - 1
    values = (
        np.sqrt((offset**2).mean()),
        np.median(gain),
        np.sqrt((gain**2).mean()),
        np.median(noise) - 1,
        (~maps.bad[bad]).mean() if bad.any() else 0.0,
        maps.bad[~bad].mean(),
    )
    return MapErrors(kind, scene.seed, *(round(100 * float(value), 3) for value in values))


def scored(name: str, scene: Scene, frames: int, pixels: CameraCalibration | None, device: str) -> CameraScore:
    """Reconstruct a movie of a scene and score the picture."""
    from selfstorm.compute.device import prepare_device

    shots = list(islice(Movie(scene).frames(), frames))
    raw = np.stack([shot for shot, _ in shots])
    emitters = np.concatenate([where for _, where in shots])
    gain = scene.gain_adu_per_electron * scene.em_gain
    settings = Settings(scene.pixel_nm, Gaussian(scene.psf_sigma_nm), scene.offset_adu, gain, SCALE, quality="fast")
    settings = replace(settings, tuning_steps=0, motion="as-it-lay", pixels=pixels)
    compute = Compute(prepare_device(device))
    engine = StreamEngine(lambda first: new_model(settings, first, compute))
    span = WindowSpan(np.arange(frames), 0, frames)
    made = engine.reconstruct(EngineWindow(span, scene.shape, lambda numbers: raw[numbers])).result
    score = score_picture(made.picture, emitters[:, 1:3], scene.pixel_nm / SCALE)
    photons = 0.0 if made.localizations is None else float(made.localizations.photons.median())
    return CameraScore(name, scene.seed, round(score.pearson, 4), round(score.gt_frc_nm, 1), round(photons, 1))


def compare(seed: int, side: int, frames: int, stack: int, device: str) -> tuple[list[MapErrors], list[CameraScore]]:
    """Calibrate both cameras, and score all recordings of one movie."""
    base: dict[str, Any] = {"height": side, "width": side, "filaments": side // 6, "seed": seed}
    errors, scores = [], [scored("perfect", Scene(**base, **PERFECT), frames, None, device)]
    for kind, own in (("sCMOS", SCMOS), ("EMCCD", EMCCD)):
        scene = Scene(**base, **own)
        result = calibrated(kind, scene, stack)
        errors.append(map_errors(kind, scene, result))
        scores.append(scored(f"{kind}, maps", scene, frames, result.calibration, device))
        scores.append(scored(f"{kind}, offset and gain", scene, frames, None, device))
        for line in (errors[-1], *scores[-2:]):
            click.echo(line)
    return errors, scores


def table(rows: Sequence[MapErrors] | Sequence[CameraScore]) -> str:
    """Format results as a Markdown table."""
    names = list(asdict(rows[0]))
    lines = ["| " + " | ".join(str(value) for value in asdict(row).values()) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(names) + " |", "|---" * len(names) + "|", *lines]) + "\n"


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("docs/benchmarks"), show_default=True)
@click.option("--seed", "seeds", type=int, multiple=True, default=(941, 942, 943, 944), show_default=True)
@click.option("--side", type=click.IntRange(16), default=48, show_default=True, help="Camera pixels along a side.")
@click.option("--frames", type=click.IntRange(8), default=100, show_default=True, help="Frames of a movie.")
@click.option(
    "--stack", type=click.IntRange(20), default=1000, show_default=True, help="Frames of a calibration stack."
)
@click.option("--device", default="auto", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier run.")
def main(
    output: Path, seeds: tuple[int, ...], side: int, frames: int, stack: int, device: str, overwrite: bool
) -> None:
    """Calibrate simulated cameras and score their pictures."""
    prepare_output(output, "camera", endings=("json", "md"), overwrite=overwrite)
    errors, scores = list[MapErrors](), list[CameraScore]()
    for seed in seeds:
        more_errors, more_scores = compare(seed, side, frames, stack, device)
        errors, scores = errors + more_errors, scores + more_scores
    facts = {"maps": [asdict(row) for row in errors], "pictures": [asdict(row) for row in scores]}
    text = (
        f"Errors of the maps in percent, from stacks of {stack} frames:\n\n{table(errors)}\n"
        f"Pictures of {frames} frames of {side} x {side} pixels:\n\n{table(scores)}"
    )
    for name, content in (("camera.json", json.dumps(facts, indent=1) + "\n"), ("camera.md", text)):
        with atomic_write(output / name, overwrite=overwrite) as part:
            part.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    run(main)
