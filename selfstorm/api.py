"""The public interface, imported as `selfstorm`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.compute.device import prepare_device
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.io.movie_frames import MovieFrames
from selfstorm.io.movies import MovieFile
from selfstorm.localizations import Localizations
from selfstorm.metrics.finding import Finding
from selfstorm.metrics.ground_truth import PictureScore, score_picture
from selfstorm.metrics.verdict import verdict
from selfstorm.physics.camera_maps import CameraCalibration
from selfstorm.psf.models import Psf
from selfstorm.simulation.movie import simulate as simulated_frames
from selfstorm.simulation.scene import Scene
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import StreamEngine
from selfstorm.stream.model_kinds import kind_of, new_model
from selfstorm.stream.model_protocol import StreamModel
from selfstorm.stream.offline import (
    ArrayFrames,
    FailedWindow,
    FrameSource,
    check_host_memory,
    check_memory,
    check_windows,
    reconstruct_movie,
)
from selfstorm.stream.processing_level import Estimate, Quality
from selfstorm.stream.settings import Motion, Settings

LOCALIZATION_COLUMNS = ("y_nm", "x_nm", "photons", "sd_y_nm", "sd_x_nm", "crowding", "background_photons")


@dataclass(frozen=True, slots=True)
class Result:
    """A super-resolved picture, and how good it is.

    Attributes:
        picture: (scale * H, scale * W) float32; expected photons per SR cell and frame, for every estimate.
        pixel_nm: side of an SR cell.
        localizations: (E,) structured array with the columns frame, y_nm, x_nm, photons, sd_y_nm, sd_x_nm, crowding
            and background_photons, from the corner of the first camera pixel; None where the estimate makes none.
        metrics: quality by key, as selfstorm.metrics.registry describes them.
        error_map: (H, W) float32 photons a frame, mean frame less what the picture explains; None where the model
            knows no optics.
        notes: assumptions, and when not to trust the picture.
        trust_map: (H, W) float32, 0..1, where two halves of the frames agree; NaN where they were not compared, None
            where the picture has no localizations.
    """

    picture: Array
    pixel_nm: float
    localizations: Array | None
    metrics: Mapping[str, float]
    error_map: Array | None
    notes: tuple[str, ...]
    trust_map: Array | None = None

    @property
    def verdict(self) -> Finding | None:
        """The picture in one word, with its cause and remedy, or None."""
        return verdict(self.metrics)


@dataclass(frozen=True, slots=True)
class SimulatedMovie:
    """A movie of a simulated cell, and where every emitter was.

    Attributes:
        frames: (T, H, W) uint16, ADU.
        emitters: (E, 4) frame, y_nm, x_nm, photons.
        pixel_nm: camera pixel in the sample.
    """

    frames: Array
    emitters: Array
    pixel_nm: float


def reconstruct(
    movie: str | Path | Array,
    pixel_nm: float | None = None,
    *,
    psf: Psf | None = None,
    offset_adu: float | None = None,
    gain_adu_per_electron: float | None = None,
    scale: int = 8,
    estimate: Estimate = "fused",
    quality: Quality = "best",
    tuning_steps: int = 8,
    motion: Motion = "corrected",
    model: str = "unrolled",
    device: str = "auto",
    pixels: CameraCalibration | None = None,
) -> Result:
    """Reconstruct a movie into one super-resolved picture.

    Args:
        movie: file of a movie, or its frames (T, H, W) in ADU, at least 8.
        pixel_nm: camera pixel in the sample; None to take it from the file.
        psf: optics (selfstorm.psf.models); None to learn them from the movie.
        offset_adu: camera offset; None to take it from the file or to estimate it.
        gain_adu_per_electron: camera gain; None likewise.
        scale: SR cells along a camera pixel.
        estimate: 'density', 'emitters' or 'fused'.
        quality: 'best' or 'fast'.
        tuning_steps: gradient steps of fine-tuning the PSF; 0 for none.
        motion: 'corrected' shows a moving sample at the time of the newest frame, 'as-it-lay' adds the frames up.
        model: 'unrolled', or 'paper' for the published one.
        device: 'auto', 'cpu', 'cuda' or 'mps'.
        pixels: calibration of each pixel of the field (selfstorm.io.camera_file), instead of offset and gain.

    Raises:
        InputError: the movie cannot be read or has too few valid frames, or the pixel size is unknown.
    """
    name = movie if isinstance(movie, str | Path) else "movie"
    with ExitStack() as opened:
        frames: FrameSource
        if isinstance(movie, str | Path):
            file = opened.enter_context(MovieFile(Path(movie)))
            frames, stated = MovieFrames(file), file.acquisition
            pixel_nm = file.pixel_nm if pixel_nm is None else pixel_nm
            offset_adu = stated.offset_adu if offset_adu is None else offset_adu
            if gain_adu_per_electron is None:
                gain_adu_per_electron = stated.gain_adu_per_electron
        else:
            raw = np.asarray(movie)
            if raw.ndim != 3:
                raise InputError(f"an array of shape {raw.shape}", where=name, hint="give frames of shape (T, H, W)")
            frames = ArrayFrames(raw)
        if pixel_nm is None:
            raise InputError("pixel size unknown", where=name, hint="give pixel_nm")
        if not 0 < pixel_nm < math.inf:
            raise InputError(f"a pixel of {pixel_nm} nm", where=name, hint="give pixel_nm in nm")
        length = frames.length
        check_windows(length, length, length)
        settings = Settings(
            pixel_nm, psf, offset_adu, gain_adu_per_electron, scale, estimate, quality, model, tuning_steps, motion
        )
        settings = replace(settings, pixels=pixels)
        compute = Compute(prepare_device(device))
        if compute.device.type == "cpu" and kind_of(model).localizes:
            check_host_memory(settings, frames.frame_shape, length)

        def checked_model(first_window: Array) -> StreamModel:
            learned = new_model(settings, first_window, compute)
            check_memory(learned, length)
            return learned

        [(_, made)] = reconstruct_movie(frames, StreamEngine(checked_model), length, length)
    if isinstance(made, FailedWindow):
        raise InputError(made.why, where=name, hint="give a movie with more valid frames")
    table = None if made.localizations is None else _table(made.localizations)
    return Result(made.picture, pixel_nm / made.scale, table, made.metrics, made.error_map, made.notes, made.trust_map)


def simulate(frames: int = 400, **scene: Any) -> SimulatedMovie:
    """Simulate a movie of a living cell.

    Args:
        frames: number of frames.
        scene: parameters of selfstorm.simulation.scene.Scene, such as height, width, density, photons and seed.
    """
    described = Scene(**scene)
    shots = list(simulated_frames(described, frames=frames))
    emitters = np.concatenate([where for _, where in shots])
    return SimulatedMovie(np.stack([pixels for pixels, _ in shots]), emitters, described.pixel_nm)


def evaluate(picture: Array, emitters: Array, *, pixel_nm: float) -> PictureScore:
    """Score a picture against the emitters of the movie.

    The scores are Pearson, PSNR, SSIM and ground-truth FRC.

    Args:
        picture: (rows, columns) of any scale.
        emitters: (E, 3 or more) frame, y_nm, x_nm, as `simulate` returns them.
        pixel_nm: side of a pixel of the picture.
    """
    return score_picture(picture, np.asarray(emitters)[:, 1:3], pixel_nm)


def _table(found: Localizations) -> Array:
    """Convert localizations to a structured array.

    Positions count from the corner of the first camera pixel.
    """
    table = np.zeros(len(found), [("frame", np.int64), *((name, np.float32) for name in LOCALIZATION_COLUMNS)])
    for name in ("frame", "y_nm", "x_nm", "photons", "crowding", "background_photons"):
        table[name] = getattr(found, name).cpu().numpy()
    table["sd_y_nm"], table["sd_x_nm"] = found.sd_nm.cpu().numpy().T
    return table
