"""Camera frames behind a picture: mean, bleaching, and the missing ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.io.movie_frames import MovieFrames
from selfstorm.io.movies import MovieFile
from selfstorm.report.evidence import FrameAccount, RunEvidence, WindowRecord

MAX_MEAN_FRAMES = 1000  # of the mean camera image
MAX_BRIGHTNESS_FRAMES = 300
NO_FRAMES = "The raw frames were not found: no camera image is shown, and how many were lost is not known."


def with_movie(evidence: RunEvidence, path: Path, *, account: bool = True) -> RunEvidence:
    """Add the camera frames of a movie, and its account of those missing.

    The mean camera image is that of the newest picture's frames.

    Args:
        evidence: With one picture at least.
        path: Of the movie.
        account: The movie's own account is that of the run.
    """
    try:
        with MovieFile(path) as movie:
            frames = MovieFrames(movie)
            numbers = _numbers_of(evidence.windows[-1], frames, movie.stamp(0).number)
            mean = _mean(frames, numbers[-MAX_MEAN_FRAMES:])
            stored = len(frames.numbers)
            counted = FrameAccount(stored + frames.missing, stored, frames.missing, "the movie")
            taken = movie.acquisition
            facts = (
                ("camera", taken.camera),
                ("exposure", f"{taken.exposure_ms:.4g} ms" if taken.exposure_ms else ""),
                ("frame rate", f"{taken.rate_hz:.4g} /s" if taken.rate_hz else ""),
            )
            return replace(
                evidence,
                camera_mean=mean,
                brightness=_brightness(frames),
                pixel_nm=evidence.pixel_nm or movie.pixel_nm,
                account=counted if account else evidence.account,
                settings=(*evidence.settings, *((name, value) for name, value in facts if value)),
                files=(*evidence.files, *(file for file in movie.paths if file.is_file())),
            )
    except InputError as error:
        return replace(evidence, notes=(*evidence.notes, NO_FRAMES, str(error)))


def _numbers_of(window: WindowRecord, frames: MovieFrames, first: int) -> Array:
    """Return the numbers in a movie of those frames of a window that it has.

    Args:
        window: of the run.
        frames: of the movie, numbered from 0.
        first: the camera's number of the movie's first frame.
    """
    if window.numbers:
        return np.intersect1d(frames.numbers, np.subtract(window.numbers, first))
    return frames.numbers[(frames.numbers >= window.first) & (frames.numbers <= window.last)]


def _mean(frames: MovieFrames, numbers: Array) -> Array | None:
    if not len(numbers):
        return None
    total = sum(frames.read(numbers[place : place + 1])[0].astype(np.float64) for place in range(len(numbers)))
    return np.asarray(total / len(numbers))


def _brightness(frames: MovieFrames) -> Array:
    """Measure the mean of frames drawn evenly from a movie."""
    places = np.unique(np.linspace(0, len(frames.numbers) - 1, MAX_BRIGHTNESS_FRAMES).astype(int))
    numbers = frames.numbers[places]
    return np.stack([numbers, [frames.read(numbers[place : place + 1]).mean() for place in range(len(numbers))]])
