"""A whole recording through the same window engine as the live daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from selfstorm.compute.batching import free_bytes, out_of_memory
from selfstorm.errors import InputError
from selfstorm.frames import Array, window_starts
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.engine import Model, ingest, picture_of
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.memory_plan import plan
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.per_frame import ProgressCallbacks
from selfstorm.stream.window import LEAST_FRAMES

WITH_LESS = "give a smaller --window or --scale, end other programs that use the device, or say --device cpu"


def check_windows(frames: int, window: int, stride: int) -> int:
    """Number of whole windows in a movie; raises InputError where there is none."""
    if frames < LEAST_FRAMES:
        raise InputError(f"{frames} frames, at least {LEAST_FRAMES} are needed", hint="give a longer movie")
    if window < LEAST_FRAMES:
        raise InputError(
            f"a window of {window} frames", where="--window", hint=f"give at least {LEAST_FRAMES}, or 'all'"
        )
    if window > frames:
        raise InputError(
            f"a window of {window} frames in a movie of {frames}",
            where="--window",
            hint="shorten it or say 'all'",
        )
    return len(list(window_starts(frames, window, stride)))


def check_memory(model: Model, frames: int) -> None:
    """Raises InputError where the device has no memory for a window of so many frames, before any of it is taken."""
    if isinstance(model, SequenceModel):
        needed = plan(
            model.imaging, model.covariance, frames, model.limits, free_bytes(model.device), new_frames=frames
        )
        if not needed.fits and needed.free is not None:
            raise InputError(
                f"{needed.free / 2**30:.1f} GiB of its memory are free, {frames} frames of this field take "
                f"{needed.peak / 2**30:.1f}",
                where=str(model.device),
                hint=WITH_LESS,
            )


def reconstruct_movie(
    raw: Array,
    model: Model,
    window: int,
    stride: int,
    advance: Callable[[int], None] = lambda frames: None,
) -> Iterator[tuple[int, Reconstruction]]:
    """(first frame, reconstruction) of every whole window of raw (T, H, W) ADU, the model carried on from each.

    advance: told of every few frames done.
    """
    model.start_stream()
    for start in window_starts(len(raw), window, stride):
        new = np.arange(max(start, model.last_number + 1), start + window)
        try:
            ingest(model, raw[new], WindowSpan(new, start, stride))
            result = picture_of(
                model, WindowSpan(np.arange(start, start + window), start, stride), callbacks=ProgressCallbacks(advance)
            )
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise InputError(f"no memory for {window} frames of this field ({error})", hint=WITH_LESS) from error
        yield start, result
