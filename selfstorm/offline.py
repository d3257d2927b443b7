"""A whole recording through the same window engine as the live daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from selfstorm.errors import InputError
from selfstorm.frame_by_frame import Watchers
from selfstorm.frames import Array, window_starts
from selfstorm.model import SequenceModel
from selfstorm.planner import free_bytes, out_of_memory, plan
from selfstorm.reconstruction import Reconstruction
from selfstorm.sequence.engine import Model, picture_of, watch
from selfstorm.sequence.film import Place
from selfstorm.sequence.window import LEAST_FRAMES

WITH_LESS = "give a smaller --window or --scale, end other programs that use the device, or say --device cpu"


def check_windows(frames: int, window: int, stride: int) -> int:
    """Number of whole windows in a movie; raises InputError where there is none."""
    if frames < LEAST_FRAMES:
        raise InputError(f"{frames} frames, at least {LEAST_FRAMES} are needed", mend="give a longer movie")
    if window < LEAST_FRAMES:
        raise InputError(
            f"a window of {window} frames", where="--window", mend=f"give at least {LEAST_FRAMES}, or 'all'"
        )
    if window > frames:
        raise InputError(
            f"a window of {window} frames in a movie of {frames}",
            where="--window",
            mend="shorten it or say 'all'",
        )
    return len(list(window_starts(frames, window, stride)))


def check_memory(model: Model, frames: int) -> None:
    """Raises InputError where the device has no memory for a window of so many frames, before any of it is taken."""
    if isinstance(model, SequenceModel):
        needed = plan(model.imaging, model.covariance, frames, model.room, free_bytes(model.device), watched=frames)
        if not needed.fits and needed.free is not None:
            raise InputError(
                f"{needed.free / 2**30:.1f} GiB of its memory are free, {frames} frames of this field take "
                f"{needed.peak / 2**30:.1f}",
                where=str(model.device),
                mend=WITH_LESS,
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
    model.new_stream()
    for start in window_starts(len(raw), window, stride):
        new = np.arange(max(start, model.last_number + 1), start + window)
        try:
            watch(model, raw[new], Place(new, start, stride))
            result = picture_of(model, Place(np.arange(start, start + window), start, stride), told=Watchers(advance))
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise InputError(f"no memory for {window} frames of this field ({error})", mend=WITH_LESS) from error
        yield start, result
