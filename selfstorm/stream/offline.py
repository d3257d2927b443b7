"""A recorded movie through the engine of the live daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from selfstorm.compute.batching import out_of_memory, retry_on_oom
from selfstorm.compute.host_memory import host_bytes
from selfstorm.errors import InputError
from selfstorm.frames import Array, window_starts
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.memory_plan import window_bytes
from selfstorm.stream.model_protocol import StreamModel
from selfstorm.stream.per_frame import ProgressCallbacks
from selfstorm.stream.settings import Settings
from selfstorm.stream.window import MIN_FRAMES, TooFewFramesError

WITH_LESS = "give a smaller --window or --scale, close other programs that use the device, or use --device cpu"


class FrameSource(Protocol):
    """The frames of a movie, read when a window needs them.

    Attributes:
        numbers: (N,) of the frames that are there, ascending from 0; those between were lost.
        length: frames of the movie, lost ones included.
        frame_shape: (H, W) of each.
    """

    @property
    def numbers(self) -> Array:
        """Numbers of the frames that are there, (N,)."""
        ...

    @property
    def length(self) -> int:
        """Number of frames of the movie, lost ones included."""
        ...

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of a frame."""
        ...

    def read(self, numbers: Array) -> Array:
        """Read some of the frames, (T, H, W) ADU."""
        ...


class ArrayFrames:
    """Frame source of a movie in memory, (T, H, W) ADU, without lost frames."""

    def __init__(self, raw: Array) -> None:
        self._raw, self.numbers, self.length = raw, np.arange(len(raw)), len(raw)
        self.frame_shape: tuple[int, int] = raw.shape[1:]

    def read(self, numbers: Array) -> Array:
        """Return (T, H, W) ADU of consecutive frames."""
        return self._raw[numbers[0] : numbers[-1] + 1]


@dataclass(frozen=True, slots=True)
class FailedWindow:
    """A window without a picture, and why."""

    why: str


def check_windows(frames: int, window: int, stride: int) -> int:
    """Count the whole windows in a movie; InputError where there is none."""
    if frames < MIN_FRAMES:
        raise InputError(f"{frames} frames, at least {MIN_FRAMES} are needed", hint="give a longer movie")
    if window < MIN_FRAMES:
        raise InputError(f"a window of {window} frames", where="--window", hint=f"give at least {MIN_FRAMES}, or 'all'")
    if window > frames:
        raise InputError(
            f"a window of {window} frames in a movie of {frames}",
            where="--window",
            hint="give a shorter one, or 'all'",
        )
    return len(list(window_starts(frames, window, stride)))


def check_memory(model: StreamModel, frames: int) -> None:
    """Check in advance that the device has memory for a window.

    Args:
        model: Model of the stream.
        frames: Frames of the window.

    Raises:
        InputError: it has not.
    """
    if shortage := model.memory_shortage(frames):
        raise InputError(shortage, where=str(model.compute.device), hint=WITH_LESS)


def check_host_memory(settings: Settings, field: tuple[int, int], frames: int) -> float:
    """Check before a frame is read that this computer has memory for windows.

    Args:
        settings: settings of the movie.
        field: (H, W) of the frames.
        frames: frames of a window.

    Returns:
        Bytes that they take, about.

    Raises:
        InputError: it has not.
    """
    needed, there = window_bytes(settings, field, frames), host_bytes()
    if there is not None and needed > there:
        height, width = field
        raise InputError(
            f"windows of {frames} frames of {height}x{width} take about {needed / 1e9:.1f} GB of memory, this computer "
            f"has {there / 1e9:.1f}",
            where="--window",
            hint="give a smaller --window or --scale",
        )
    return needed


def reconstruct_movie(
    movie: FrameSource,
    engine: StreamEngine,
    window: int,
    stride: int,
    advance: Callable[[int], None] = lambda frames: None,
) -> Iterator[tuple[int, Reconstruction | FailedWindow]]:
    """Reconstruct every whole window of a movie.

    Args:
        movie: its frames; those that were lost are in no window, as in the live daemon.
        engine: whose model learns from window to window.
        window: frames of a window.
        stride: frames from one window's start to the next.
        advance: called with the number of frames done since the last call.

    Yields:
        First frame and picture of each window, or why there is none: the windows after it are reconstructed all the
        same, as in the live daemon.

    Raises:
        InputError: the device has no memory for a window.
    """
    numbers = np.asarray(movie.numbers)
    for start in window_starts(movie.length, window, stride):
        there = numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, start + window)]
        if not len(there):
            yield start, FailedWindow("all of its frames were lost")
            continue
        one = EngineWindow(WindowSpan(there, start, stride), movie.frame_shape, movie.read)
        try:
            work = partial(engine.reconstruct, one, callbacks=ProgressCallbacks(advance))
            outcome = retry_on_oom(work, lambda error: _halve_limits(engine))
            sums = engine.accumulate() if outcome.learned else None
            yield start, replace(outcome.result, accumulation=sums)
        except (TooFewFramesError, FloatingPointError) as error:
            engine.skip(one)
            yield start, FailedWindow(str(error))
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise InputError(f"no memory for {window} frames of this field ({error})", hint=WITH_LESS) from error


def _halve_limits(engine: StreamEngine) -> bool:
    return engine.compute is not None and engine.compute.halve_limits()
