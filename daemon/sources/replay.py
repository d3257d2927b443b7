"""replay:PATH, a recorded movie played as if it were a camera."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count, pairwise
from pathlib import Path
from uuid import uuid4

import numpy as np

from daemon.sources.camera import CameraFrame, Lost, Note, Pacer, Resume, SourceEvent
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError, MovieError
from selfstorm.frames import Array, PixelType, StreamInfo
from selfstorm.io.frame_numbers import Numbering
from selfstorm.io.movie_frames import MovieFrames
from selfstorm.io.movies import MovieFile
from selfstorm.io.reader import Stamp

SAMPLED_FRAMES = 200
MAX_CHARACTERS = 256  # of the camera in a stream's description


class Replay:
    """Frames of a recording under their own numbers.

    They begin at number `resume.number`, and are looped on request.

    They come at recorded times, at `rate_hz`, or as fast as they are taken. Frames that are missing in the recording,
    and those that cannot be read, are lost at the source.
    """

    def __init__(self, section: SourceSection, stop: threading.Event, resume: Resume) -> None:
        self._section, self._stop, self._resume_at = section, stop, resume.number
        self._movie = MovieFile(Path(section.place), section.select)
        self._timeline = Timeline(self._movie, section) if section.timing == "recorded" else None

    def events(self) -> Iterator[SourceEvent]:
        """Yield the frames, and the losses between them."""
        section, movie, timeline = self._section, self._movie, self._timeline
        with movie:
            yield self._describe()
            for note in movie.notes:
                yield Note(f"{movie.path.name}: {note}")
            pace, numbering, played = Pacer(section.rate_hz, self._stop), Numbering(), 0
            unread = unnumbered = 0  # frames in a row; those without a number are lost with the gap that they leave
            for step in count() if section.loop else range(movie.length):
                lap, index = divmod(step, movie.length)
                unnumbered += 1
                try:
                    stamp = movie.stamp(index)
                    number, lost = numbering.next(stamp.number, unnumbered - 1)
                    unnumbered = 0
                    if number < self._resume_at:
                        yield None
                        continue
                    yield from pace.until(timeline.at_s(lap, index, stamp)) if timeline else pace.waits(played)
                    played += 1
                    pixels = movie.frame(index)
                except MovieError as error:
                    yield Note(f"frame {index} is left out: {error}")
                    unread += 1
                    if not unnumbered:
                        yield Lost(lost + 1)
                    if unread == movie.length:
                        break  # nothing in it can be read
                    continue
                unread = 0
                if lost:
                    yield Lost(lost)
                yield CameraFrame(pixels, number, timeline.camera_ms(lap, stamp) if timeline else stamp.camera_ms)
            if unnumbered:
                yield Lost(unnumbered)

    def _describe(self) -> StreamInfo:
        movie, taken = self._movie, self._movie.acquisition
        dtype: PixelType = movie.dtype  # type: ignore[assignment]  # MovieFile admits these types only
        return StreamInfo(
            stream=uuid4().hex,
            source=self._section.uri,
            height=movie.height,
            width=movie.width,
            dtype=dtype,
            pixel_nm=movie.pixel_nm,
            rate_hz=self._timeline.rate_hz if self._timeline else self._section.rate_hz,
            exposure_ms=taken.exposure_ms,
            offset_adu=taken.offset_adu,
            gain_adu_per_electron=taken.gain_adu_per_electron,
            camera=", ".join(part for part in (f"replay of {movie.path.name}", taken.camera) if part)[:MAX_CHARACTERS],
            binning=taken.binning,
            roi_yx=taken.roi_yx,
        )


class Timeline:
    """Times at which the frames of a recording are due.

    They are `speed` times as fast as they were taken; laps follow without a break.

    Attributes:
        rate_hz: frames a second.

    Raises:
        InputError: neither the recording nor the configuration gives a frame rate.
    """

    def __init__(self, movie: MovieFile, section: SourceSection) -> None:
        self._speed = section.speed
        first_ms, last_ms = _ends_ms(movie)
        timed = first_ms is not None and last_ms is not None and last_ms > first_ms
        rate_hz = _sampled_rate_hz(movie) if timed else movie.acquisition.rate_hz or section.rate_hz
        if rate_hz is None:
            raise InputError(
                "does not say when its frames were taken", where=movie.path, hint="give rate_hz under [source]"
            )
        self._first_ms = first_ms if timed else None
        interval_ms = 1000 / rate_hz
        length_ms = last_ms - first_ms if timed and first_ms is not None and last_ms is not None else 0.0
        self._lap_ms = length_ms + interval_ms if timed else movie.length * interval_ms
        self._interval_ms, self._latest_s = interval_ms, 0.0
        self.rate_hz = rate_hz * self._speed

    def at_s(self, lap: int, index: int, stamp: Stamp) -> float:
        """Return the seconds after the beginning at which a frame is due.

        A frame is never due before the one that came before it.

        Args:
            lap: number of the lap.
            index: of the frame in the recording.
            stamp: of the frame.
        """
        known = self._first_ms is not None and stamp.camera_ms is not None
        in_lap_ms = stamp.camera_ms - self._first_ms if known else index * self._interval_ms  # type: ignore[operator]
        self._latest_s = max(self._latest_s, (lap * self._lap_ms + in_lap_ms) / 1000 / self._speed)
        return self._latest_s

    def camera_ms(self, lap: int, stamp: Stamp) -> float | None:
        """Return the camera's clock as recorded, going on in the next lap."""
        return None if stamp.camera_ms is None else stamp.camera_ms + lap * self._lap_ms


def states_times(path: Path) -> bool:
    """Return whether a recording says when its frames were taken.

    Raises:
        MovieError: it cannot be read.
    """
    with MovieFile(path) as movie:
        first_ms, last_ms = _ends_ms(movie)
        timed = first_ms is not None and last_ms is not None and last_ms > first_ms
        return timed or movie.acquisition.rate_hz is not None


def _ends_ms(movie: MovieFile) -> tuple[float | None, float | None]:
    """Return when the first and the last frame were taken."""
    return movie.stamp(0).camera_ms, movie.stamp(movie.length - 1).camera_ms


def _sampled_rate_hz(movie: MovieFile) -> float:
    """Measure frames a second by the median interval of the first ones.

    The median ignores gaps.
    """
    times_ms = [movie.stamp(index).camera_ms or 0.0 for index in range(min(movie.length, SAMPLED_FRAMES))]
    usual_ms = statistics.median(later - sooner for sooner, later in pairwise(times_ms))
    return 1000 / max(usual_ms, 0.01)


def recorded_frames(section: SourceSection, _keep: int, opened: ExitStack) -> Callable[[int], Array]:
    """Open the movie once more, for its frames by their numbers.

    Returns:
        A function of a frame's number, also of later laps, that returns its pixels, (H, W).
    """
    movie = opened.enter_context(MovieFile(Path(section.place), section.select))
    frames, first = MovieFrames(movie), movie.stamp(0).number
    return lambda number: frames.read(np.array([(number - first) % frames.length]))[0]
